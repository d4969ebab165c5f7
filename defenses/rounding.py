"""Rounding: show every probability to so many decimals, renormalised. Tramèr et al., USENIX Security 2016, arXiv
1609.02943.

    y' = round(y, d) / Σ round(y, d)

Default: one decimal, ModelGuard's passive baseline (Tang et al., USENIX Security 2024). Breakers: the text alone trains
a student nearly as well; what was rounded averages out over many prompts. Deviates: a row whose probabilities all round
to nothing, which a large vocabulary has often, shows its top token alone. The top token stays one of the largest,
though rounding may draw others level with it. What is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class Rounding(Defense):
    """``decimals`` of every probability; null shows them as they are."""

    decimals: int | None = 1
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if self.decimals is not None and not 0 <= self.decimals <= 15:
            raise UserError(f"rounding needs decimals between 0 and 15 (or null, for all), got {self.decimals}")

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.decimals is None:
            return logprobs
        rounded = logprobs.exp().round(decimals=self.decimals)
        top = logprobs.argmax(-1, keepdim=True)
        nothing = (rounded.sum(-1, keepdim=True) == 0) & logprobs.gather(-1, top).isfinite()
        kept = rounded.scatter(-1, top, rounded.gather(-1, top).masked_fill(nothing, 1.0))
        total = kept.sum(-1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny)  # 0 where all was withheld before
        return (kept / total).log()
