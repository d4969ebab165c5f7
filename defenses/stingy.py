"""Stingy teacher: show a sparse, flat distribution. Ma et al., "Stingy Teacher: Sparse Logits Suffice to Fail Knowledge
Distillation", ICLR 2022 workshop (PAIR2Struct).

    z'_i = z_i for the r·V largest, −∞ elsewhere;    y' = softmax(z' / T)

Published: r = 0.1 of CIFAR-100's classes (0.2 of CIFAR-10's), T = 20 with weight α = 0.9 on the soft loss. Breakers: a
hard-label loss; a low T, or any student that undoes it (z'/T determines z' up to a constant). Deviates: in the paper
the student divides by T, and its own logits too; here the interface shows what is already divided, so ``temperature:
1`` is the paper's teacher for a student that applies T itself. r·V is rounded, to 1 at least. The argmax and what is
sampled do not change.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class Stingy(Defense):
    """``share`` is r, ``temperature`` T; 1 and 1 change nothing."""

    share: float = 0.1
    temperature: float = 20.0
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1 or not 1 <= self.temperature < float("inf"):
            raise UserError(
                "stingy needs a share of the vocabulary above 0 and at most 1, and a temperature of at least 1 "
                f"(1 flattens nothing), got share={self.share}, temperature={self.temperature}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.share == self.temperature == 1:
            return logprobs
        values, ids = logprobs.topk(max(1, round(self.share * logprobs.shape[-1])), dim=-1)
        shown = (values / self.temperature).log_softmax(-1)
        shown = shown.masked_fill(values == -torch.inf, -torch.inf)  # where all of a row was withheld before
        return torch.full_like(logprobs, -torch.inf).scatter(-1, ids, shown)
