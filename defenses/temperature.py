"""Temperature: the control that flattens what is sampled and knows nothing about students.

Baseline of antidistillation sampling, arXiv 2504.13146, which sweeps T over linspace(1, 2, 20): at equal teacher
accuracy it leaves the student unharmed. Breakers: averaging, majority vote. Deviates: T is found by bisection to a
utility loss, so that it can stand beside the defense it controls for. It multiplies the temperature that was asked
for; greedy rows are unchanged.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from defenses.primitives.calibrated import Calibrated
from spiritsafe.defense import Needs, Rows


@dataclass(kw_only=True)
class Temperature(Calibrated):
    """``strength`` is T >= 1."""

    idle: ClassVar[float] = 1.0
    interval: ClassVar[tuple[float, float]] = (1.0, 8.0)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        return logits / self.set_strength if self.active else logits
