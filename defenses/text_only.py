"""Text only: no log probability is shown, whatever the interface offers. The smallest step of the truncation family of
Tramèr et al., USENIX Security 2016, arXiv 1609.02943.

Defaults: none, there is no knob. Breakers: none needed, since fine-tuning on the text alone trains a student nearly as
well; counting repeated samples estimates what is withheld, and a logit bias would read it off (2403.06634).
Deviates: nothing. What is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows


@dataclass
class TextOnly(Defense):
    needs: ClassVar[Needs] = Needs.LOGPROBS

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        return torch.full_like(logprobs, -torch.inf)
