"""Random bits of a row of its own: the noise that several defenses add, whoever shares the batch."""

import torch
from torch import Tensor

from defenses.primitives.keyed import bits
from spiritsafe.defense import Rows


def noise_bits(rows: Rows, columns: int) -> Tensor:
    """64 random bits for each row's position and column, apart from those that draw the token: [rows, columns]."""
    return bits(rows.streams[:, None], rows.generated[:, None, None], torch.arange(columns, device=rows.streams.device))
