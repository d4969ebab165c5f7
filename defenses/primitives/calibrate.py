"""How strong a defense must be to cost the honest user a given accuracy: bisection on the served text.

A paper's λ is not portable between models, or between implementations of one paper; what a defense costs is.
"""

import logging
import math
from dataclasses import dataclass
from typing import Any

from spiritsafe.defense import Defense, Preparation
from spiritsafe.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Calibration:
    """``tried`` are (strength, accuracy) pairs in the order of evaluation."""

    undefended: float
    utility: float
    reached: bool
    tried: tuple[tuple[float, float], ...]

    def summary(self) -> dict[str, Any]:
        return {
            "undefended_utility": self.undefended,
            "utility": self.utility,
            "target_reached": self.reached,
            "evaluations": [list(pair) for pair in self.tried],
        }


def to_utility_loss(
    defense: Defense,
    knob: str,
    preparation: Preparation,
    target: float,
    low: float,
    high: float,
    evaluations: int,
    tolerance: float = 0.005,
) -> Calibration:
    """Set ``defense.<knob>`` to the strength in (``low``, ``high``) whose loss of accuracy comes closest to ``target``.

    Bisects the logarithm of the strength; stops within ``tolerance`` or after ``evaluations``. Measured accuracy is
    noisy and need not fall monotonically, so the closest strength that was tried is kept, not the last one (of two
    equally close ones the weaker).
    """
    if not (0 < low < high and evaluations > 0):
        raise UserError(f"calibration needs 0 < low < high and evaluations >= 1, got {low}, {high}, {evaluations}")
    undefended = preparation.utility([])
    if not 0 < target < undefended:
        raise UserError(
            f"a utility loss of {target} cannot be calibrated: the undefended teacher's accuracy on the calibration "
            f"split is {undefended:.3f}; set utility_loss between 0 and that, or give the {knob} itself"
        )
    tried: dict[float, float] = {}
    while len(tried) < evaluations:
        strength = math.sqrt(low * high)
        setattr(defense, knob, strength)
        tried[strength] = preparation.utility([defense])
        loss = undefended - tried[strength]
        log.info("%s=%.4g costs %.3f of accuracy (target %.3f)", knob, strength, loss, target)
        if abs(loss - target) <= tolerance:
            break
        low, high = (low, strength) if loss > target else (strength, high)
    best = min(tried, key=lambda strength: (round(abs(undefended - tried[strength] - target), 9), strength))
    setattr(defense, knob, best)
    reached = abs(undefended - tried[best] - target) <= max(tolerance, target / 5)
    if not reached:
        log.warning(
            "%s: the closest to a utility loss of %.3f is %.3f at %s=%.4g; raise evaluations or widen the range",
            type(defense).__name__,
            target,
            undefended - tried[best],
            knob,
            best,
        )
    return Calibration(undefended, tried[best], reached, tuple(tried.items()))
