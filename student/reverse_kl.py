"""Sampled-token reverse KL on policy. Thinking Machines Lab 2025, "On-Policy Distillation" (tinker-cookbook).

    y ~ q,    A_t = -c ( log q(y_t) - log p(y_t) ),    loss = - q(y_t) / q_sampled(y_t) * A_t

No credit flows to earlier tokens (γ = 0), so the expected gradient is that of c KL(q || p) at every prefix the student
visits. The teacher gives one number a token, and a scored call every completion. Published defaults: c = 1,
temperature 1. Breaker: an interface that scores no supplied text. Deviates: tokens that the teacher gave no number for
have no advantage.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.policy import behaviour, log_probability, policy_loss, rewards


@dataclass(frozen=True)
class SampledReverseKL:
    """``coefficient`` is c. The loss is an estimate of c KL(q || p), weighted and summed."""

    coefficient: float = 1.0
    needs: ClassVar[Signal] = Signal.SCORE

    def __post_init__(self) -> None:
        if self.coefficient <= 0:
            raise UserError(f"objective.coefficient must be positive, got {self.coefficient}")

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        log_q = log_probability(logits, targets.tokens)
        sampled = behaviour(log_q, targets)
        advantages, _ = rewards(sampled, targets)
        return policy_loss(log_q, sampled, self.coefficient * advantages) @ targets.weights
