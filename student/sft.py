"""Sequence-level distillation: cross-entropy on the teacher's text. Kim & Rush 2016, arXiv 1606.07947.

Deviates: the text is sampled, as an interface serves it, and not the beam's mode.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import cross_entropy

from spiritsafe.interface import Signal
from spiritsafe.objective import Targets


@dataclass(frozen=True)
class SFT:
    """-log q(token), weighted and summed."""

    needs: ClassVar[Signal] = Signal.TEXT

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        return cross_entropy(logits, targets.tokens, reduction="none") @ targets.weights
