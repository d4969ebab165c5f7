"""Skew KL: against a mixture of both, so that it is finite where one of them is zero. DistiLLM, Ko et al., ICML 2024,
arXiv 2402.03898; DistiLLM-2, ICML 2025, arXiv 2503.07067.

    forward   SKL_a  = KL( p || a p + (1 - a) q )         a → 0: KL(p || q)
    reverse   SRKL_a = KL( q || (1 - a) p + a q )         a → 0: KL(q || p)

Both are at most -log a. Default of the papers: a = 0.1. Breaker: an interface of text.
Deviates: over the disclosed tokens and a bucket for the rest, hence a lower bound of the full divergence. On the
teacher's completions alone: the papers' replay of student samples, and a chosen for each token, need the teacher's
logits on what the student wrote.
"""

from dataclasses import dataclass
from math import log, log1p
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.buckets import buckets, check_alpha, with_text

Direction = Literal["forward", "reverse"]


@dataclass(frozen=True)
class SkewKL:
    """``skew`` is a; ``alpha`` mixes in cross-entropy on the sampled token."""

    direction: Direction = "forward"
    skew: float = 0.1
    alpha: float = 0.0
    needs: ClassVar[Signal] = Signal.TEXT | Signal.TOP_LOGPROBS

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.direction not in get_args(Direction):
            raise UserError(f"objective.direction is {self.direction!r}: use one of {', '.join(get_args(Direction))}")
        if not 0 < self.skew < 1:
            raise UserError(f"objective.skew is {self.skew}: choose it within (0, 1), or use objective=topk_kl for 0")

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        first, second = buckets(logits, targets)
        if self.direction == "reverse":
            first, second = second, first
        return with_text(skewed(first, second, self.skew), logits, targets, self.alpha)


def skewed(first: Tensor, second: Tensor, skew: float) -> Tensor:
    """KL( first || skew first + (1 - skew) second ) of log probabilities [n, buckets], [n]."""
    mixture = torch.logaddexp(first + log(skew), second + log1p(-skew))
    return (first.exp() * (first - mixture)).sum(1)
