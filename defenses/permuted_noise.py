"""Permutation sampling: antidistillation's perturbation, shuffled over the vocabulary with random signs.

The noise control of antidistillation sampling, arXiv 2504.13146, fig. 6: same magnitude, no direction. Defaults: its
own λ; here as there, or calibrated to the same loss of served accuracy. Breakers: averaging, majority vote.
Deviates: shuffle and signs are keyed by the row's random stream and position, so that batches do not matter.
"""

from dataclasses import dataclass

from torch import Tensor

from defenses.antidistillation import Antidistillation
from defenses.primitives.noise import noise_bits
from spiritsafe.defense import Rows


@dataclass(kw_only=True)
class PermutedNoise(Antidistillation):
    def delta(self, rows: Rows) -> Tensor:
        delta = super().delta(rows)
        bits = noise_bits(rows, delta.shape[-1])
        return delta.gather(-1, bits.argsort(-1)) * (1 - 2 * (bits & 1))
