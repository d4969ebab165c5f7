"""The divergence of generalised knowledge distillation, on the teacher's completions. Agarwal et al., ICLR 2024,
arXiv 2306.13649.

    D = β KL(p || M) + (1 - β) KL(q || M),    M = β p + (1 - β) q

D / β → KL(p || q) as β → 0 and D / (1 - β) → KL(q || p) as β → 1; at 0 and 1 themselves D would vanish, and those KLs
stand in its place, as in huggingface/trl, whose default is β = 0.5. Breaker: an interface of text.
Deviates: λ = 0, never on the student's own completions, for which the teacher would be asked at every step. Over the
disclosed tokens and a bucket for the rest, at T = 1, since a bucket cannot be tempered. At β = 1 no bucket of the
teacher counts as less than 2^-23, the least that 1 - P tells from nothing.
"""

from dataclasses import dataclass
from math import log
from typing import ClassVar

from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.buckets import buckets, check_alpha, with_text
from student.skew_kl import skewed

FLOOR = -23 * log(2)


@dataclass(frozen=True)
class GeneralizedJSD:
    """``beta`` is β: 0 is the forward KL, 1 the reverse; ``alpha`` mixes in cross-entropy on the sampled token."""

    beta: float = 0.5
    alpha: float = 0.0
    needs: ClassVar[Signal] = Signal.TEXT | Signal.TOP_LOGPROBS

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if not 0 <= self.beta <= 1:
            raise UserError(f"objective.beta is {self.beta}: choose it within [0, 1]; 0 is forward KL, 1 reverse")

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        log_p, log_q = buckets(logits, targets)
        if self.beta == 0:
            divergence = (log_p.exp() * (log_p - log_q)).sum(1)
        elif self.beta == 1:
            divergence = (log_q.exp() * (log_q - log_p.clamp(min=FLOOR))).sum(1)
        else:
            forward, reverse = skewed(log_p, log_q, self.beta), skewed(log_q, log_p, 1 - self.beta)
            divergence = self.beta * forward + (1 - self.beta) * reverse
        return with_text(divergence, logits, targets, self.alpha)
