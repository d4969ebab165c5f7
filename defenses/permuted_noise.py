"""Permutation sampling: antidistillation's perturbation, shuffled over the vocabulary with random signs.

The noise control of antidistillation sampling, arXiv 2504.13146, fig. 6: same magnitude, no direction. Defaults: its
own λ; here as there, or calibrated to the same loss of served accuracy. Breakers: averaging, majority vote.
Deviates: shuffle and signs are keyed by the row's random stream and position, so that batches do not matter.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from defenses.antidistillation import Antidistillation
from spiritsafe.defense import Rows

GOLDEN = -7046029254386353131  # 2**64 divided by the golden ratio, as int64


@dataclass
class PermutedNoise(Antidistillation):
    def delta(self, rows: Rows) -> Tensor:
        delta = super().delta(rows)
        key = mix(mix(rows.streams) + GOLDEN * (rows.generated + 1))  # apart from the bits that draw the token
        bits = mix(key[:, None] + GOLDEN * torch.arange(1, delta.shape[-1] + 1, device=delta.device))
        return delta.gather(-1, bits.argsort(-1)) * (1 - 2 * (bits & 1))


def mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64 (Steele et al., OOPSLA 2014) on int64, whose products wrap around."""
    x = (x ^ shift(x, 30)) * -4658895280553007687
    x = (x ^ shift(x, 27)) * -7723592293110705685
    return x ^ shift(x, 31)


def shift(x: Tensor, places: int) -> Tensor:
    """Logical right shift; torch's is arithmetic."""
    return (x >> places) & ((1 << (64 - places)) - 1)
