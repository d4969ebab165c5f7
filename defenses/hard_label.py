"""Hard labels: at every position the most likely token, shown as if it were certain. Label-only access, the k = 1 end
of the truncation family of Tramèr et al., USENIX Security 2016, arXiv 1609.02943.

Defaults: none, there is no knob. Breakers: a student of the text learns as much, for a hard label is a greedy sample;
counting repeated samples estimates the rest. Deviates: the label is not what was sampled but what was likeliest, with
log probability 0, so that a student of the KL learns a one-hot target. What is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows


@dataclass
class HardLabel(Defense):
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        best, top = logprobs.max(-1, keepdim=True)
        certain = best.masked_fill(best.isfinite(), 0.0)  # a row that was withheld before stays withheld
        return torch.full_like(logprobs, -torch.inf).scatter(-1, top, certain)
