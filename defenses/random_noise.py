"""Random noise: give a little of the mass to one token drawn blindly. The control "Random" of gradient redirection,
Mazeika et al., ICML 2022, arXiv 2206.14157.

    y' = (1 − ε/2) y + (ε/2) e_j,    j uniform over all tokens but the most likely one;    ‖y' − y‖₁ <= ε

Defaults: ε is swept over 0, 0.1, ..., 1. Breakers: averaging repeated queries, denoising (D-DAE). Nothing keeps the
argmax where ε/2 exceeds what the top token leads by. Deviates: j is keyed by the row's random stream and position, so
that batches do not matter and asking again under the same stream shows the same.
"""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from defenses.primitives.noise import noise_bits
from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class RandomNoise(Defense):
    """``epsilon`` is the L1 distance allowed, below 2."""

    epsilon: float = 0.5
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon < 2:
            raise UserError(f"random_noise needs 0 <= epsilon < 2 (an L1 distance), got epsilon={self.epsilon}")

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.epsilon == 0:
            return logprobs
        lucky = (noise_bits(rows, 1) & (2**63 - 1)) % (logprobs.shape[-1] - 1)
        lucky = lucky + (lucky >= logprobs.argmax(-1, keepdim=True))
        shrunk = logprobs + math.log1p(-self.epsilon / 2)
        gift = torch.full_like(shrunk[:, :1], math.log(self.epsilon / 2))
        return shrunk.scatter(-1, lucky, torch.logaddexp(shrunk.gather(-1, lucky), gift))
