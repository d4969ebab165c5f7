"""Temperature: the control that flattens what is sampled and knows nothing about students.

Baseline of antidistillation sampling, arXiv 2504.13146, which sweeps T over linspace(1, 2, 20): at equal teacher
accuracy it leaves the student unharmed. Breakers: averaging, majority vote. Deviates: T is found by bisection to a
utility loss, so that it can stand beside the defense it controls for. It multiplies the temperature that was asked
for; greedy rows are unchanged.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from defenses.calibrate import Calibration, to_utility_loss
from spiritsafe.defense import Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError


@dataclass
class Temperature(Defense):
    """``temperature`` T >= 1; null finds the T in [1, ``high``] that costs ``utility_loss`` in served accuracy."""

    temperature: float | None = None
    utility_loss: float = 0.05
    high: float = 8.0
    evaluations: int = 8
    calibration: Calibration | None = field(default=None, init=False)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS

    def __post_init__(self) -> None:
        if self.temperature is not None and self.temperature < 1:
            raise UserError(f"the temperature defense only flattens: set temperature >= 1, not {self.temperature}")

    def prepare(self, preparation: Preparation) -> None:
        if self.temperature is None:
            self.calibration = to_utility_loss(
                self, "temperature", preparation, self.utility_loss, 1.0, self.high, self.evaluations
            )

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        assert self.temperature is not None, "prepare() finds the temperature"
        return logits if self.temperature == 1 else logits / self.temperature

    def summary(self) -> dict[str, Any]:
        found = self.calibration.summary() if self.calibration else {}
        return {"temperature": self.temperature, **found}
