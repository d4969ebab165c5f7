"""Reverse KL of whole completions by policy gradient. Gu et al., ICLR 2024, arXiv 2306.08543.

    r_t = log p(y_t) - log q(y_t),    R_t = mean of r_i over i >= t (length-normalised) or their sum
    loss_t = - q / q_sampled * R_t                                        from scores alone
    loss_t = - q / q_sampled * R_(t+1) + KL(q || p) at the prefix of t     single-step decomposition

Published: learning rate 5e-6, 256 rollouts, 4 PPO epochs. Breaker: no scores of supplied text. Deviates: (1) no
teacher-mixed sampling (0.2 p + 0.8 q), which would cost a teacher call a token; (2) one optimiser step a sample, so
there is no ratio to clip; (3) no language-modelling loss and no reward scaling; (4) the single step is over the k
tokens shown, the sampled one and one bucket of all others, hence a lower bound.
"""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.jsd import GeneralizedJSD
from student.policy import behaviour, log_probability, policy_loss, rewards, with_chosen


@dataclass(frozen=True)
class MiniLLM:
    """``top_logprobs`` is the k that scored calls ask for; with 0, or where a token's are withheld, there is no single
    step and the token's own reward counts in its return. ``normalised`` divides returns by the rewards in them."""

    top_logprobs: int = 0
    normalised: bool = True
    needs: ClassVar[Signal] = Signal.SCORE

    def __post_init__(self) -> None:
        if self.top_logprobs < 0:
            raise UserError(f"objective.top_logprobs must be 0 or more, got {self.top_logprobs}")

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        log_q = log_probability(logits, targets.tokens)
        sampled = behaviour(log_q, targets)
        reward, known = rewards(sampled, targets)
        if targets.rows is None:
            raise UserError("minillm needs to know which tokens are of one completion: train it on policy")
        own, single = known, torch.zeros((), device=logits.device)
        if targets.top_logprobs is not None:
            shown = targets.top_logprobs.isfinite().any(1)
            own = known & ~shown
            reverse = replace(targets, weights=targets.weights * shown)
            single = GeneralizedJSD(beta=1.0).loss(logits, with_chosen(reverse))
        returns = _after(reward, targets.rows) + reward * own
        if self.normalised:
            returns = returns / (_after(known.to(reward.dtype), targets.rows) + own).clamp(min=1)
        return policy_loss(log_q, sampled, returns) @ targets.weights + single


def _after(values: Tensor, rows: Tensor) -> Tensor:
    """Sum of the values [n] that follow each in its own row. In double precision: the sums run over all rows."""
    total = values.double().flip(0).cumsum(0).flip(0)
    _, place, lengths = rows.unique_consecutive(return_inverse=True, return_counts=True)
    ends = lengths.cumsum(0)[place]
    beyond = torch.cat([total, total.new_zeros(1)])[ends]
    return (total - values - beyond).to(values.dtype)
