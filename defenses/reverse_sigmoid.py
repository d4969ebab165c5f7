"""Reverse sigmoid: bend the probabilities so that several of them show the same value. Lee, Edwards, Molloy and Su,
IEEE S&P workshops 2019, arXiv 1806.00054.

    r(y) = β (σ(γ logit y) − ½),    y' = (y − r(y)) / Σ (y − r(y)),    logit y = log y − log(1 − y)

Defaults of ModelGuard's scripts: γ = 0.2, β = 0.008 for 256 classes (0.02 for 100). β lifts each unlikely token by up
to β/2, so β · vocabulary is what counts: 2 in both, where half of the mass is smoothed away; scale β with it. The
argmax survives wherever the top token leads by more than β. Breakers: training on the top token alone; a table that
inverts the map (partial Bayes), since it is deterministic. Deviates: nothing; logit is exact on both sides of ½, where
one reimplementation clamps y/(1 − y) to at most 1 and thereby flattens all y > ½ to one value.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class ReverseSigmoid(Defense):
    """``beta`` is the magnitude in [0, 1], ``gamma`` how fast it turns."""

    beta: float = 0.008
    gamma: float = 0.2
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not (0 <= self.beta <= 1 and self.gamma > 0):  # beyond 1 a probability could turn negative
            raise UserError(
                f"reverse_sigmoid needs 0 <= beta <= 1 and gamma > 0, got beta={self.beta}, gamma={self.gamma}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.beta == 0:
            return logprobs
        bent = logprobs.exp() - self.beta * ((self.gamma * logit(logprobs)).sigmoid() - 0.5)
        return (bent / bent.sum(-1, keepdim=True)).log()


def logit(logprobs: Tensor) -> Tensor:
    """log(y / (1 − y)) from log y; finite where y is 1 within rounding."""
    return logprobs - (-logprobs.expm1()).clamp(min=torch.finfo(logprobs.dtype).tiny).log()
