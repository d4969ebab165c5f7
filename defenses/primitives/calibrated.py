"""A defense whose strength is given, or found by what it costs the honest user."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from defenses.primitives.calibrate import Calibration, to_utility_loss
from spiritsafe.defense import Defense, Preparation
from spiritsafe.errors import UserError


@dataclass(kw_only=True)
class Calibrated(Defense):
    """``strength`` 0 (``idle``) touches nothing; null finds the one in ``interval`` that costs ``utility_loss`` of
    served accuracy, in at most so many ``evaluations`` of the calibration split."""

    strength: float | None = None
    utility_loss: float = 0.05
    evaluations: int = 8
    calibration: Calibration | None = field(default=None, init=False, repr=False)
    idle: ClassVar[float] = 0.0
    interval: ClassVar[tuple[float, float]] = (1e-2, 1e3)
    most: ClassVar[float] = float("inf")

    def __post_init__(self) -> None:
        name = type(self).__name__
        if self.strength is not None and not self.idle <= self.strength <= self.most:
            limit = f"at least {self.idle:g}" + (f" and at most {self.most:g}" if self.most < float("inf") else "")
            raise UserError(f"{name} needs a strength of {limit} (or null, to calibrate it), got {self.strength}")
        if not 0 < self.utility_loss < 1:
            raise UserError(f"{name} needs a utility_loss between 0 and 1, such as 0.05, got {self.utility_loss}")
        if self.evaluations < 1:
            raise UserError(f"{name} needs evaluations >= 1, got {self.evaluations}")

    @property
    def active(self) -> bool:
        return self.strength != self.idle

    @property
    def set_strength(self) -> float:
        assert self.strength is not None, "prepare() finds the strength"
        return self.strength

    def calibrate(self, preparation: Preparation) -> None:
        """The last thing that `prepare` does."""
        if self.strength is None:
            self.calibration = to_utility_loss(
                self, "strength", preparation, self.utility_loss, *self.interval, self.evaluations
            )

    def prepare(self, preparation: Preparation) -> None:
        self.calibrate(preparation)

    def summary(self) -> dict[str, Any]:
        return {"strength": self.strength, **(self.calibration.summary() if self.calibration else {})}
