"""How wrong a refusal detector is, in counts, and the refusal rate behind the rate that it found.

R = (R_obs + spec - 1) / (sens + spec - 1), Rogan and Gladen 1978. The counts are of a sample of labelled outputs, so
sensitivity and specificity are drawn anew in every resample, from their Jeffreys posteriors: the interval of a
corrected rate knows how few outputs were labelled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from spiritsafe.errors import UserError
from spiritsafe.measures.bootstrap import Bootstrap, Draws
from spiritsafe.measures.refusal import corrected_rate

REST = "*"
COUNTS = ("found", "refusals", "passed", "others")


@dataclass(frozen=True)
class Detector:
    """Of ``refusals`` outputs that a person called refusals the detector ``found`` so many; of ``others`` it ``passed``
    so many. Arms whose detector has one ``name`` and counts share its errors, and so every draw of them."""

    name: str
    found: int
    refusals: int
    passed: int
    others: int

    def __post_init__(self) -> None:
        if not (0 <= self.found <= self.refusals and 0 <= self.passed <= self.others and self.refusals and self.others):
            raise UserError(
                f"the detector of {self.name!r} needs labelled outputs of both kinds, refusals and others, and no more "
                f"hits than outputs; its counts are {self.counts}"
            )
        corrected_rate(0.0, self.sensitivity, self.specificity)  # no better than chance is an error

    @property
    def counts(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in COUNTS}

    @property
    def sensitivity(self) -> float:
        return self.found / self.refusals

    @property
    def specificity(self) -> float:
        return self.passed / self.others

    def corrected(self, observed: Draws, bootstrap: Bootstrap) -> Draws:
        """The rate behind an ``observed`` one, both [1 + resamples], not clipped to [0, 1]; nan in a resample whose
        detector is no better than chance. Raises where that is one resample in a hundred."""
        rng = bootstrap.stream(f"detector/{self.name}/{self.counts}")
        shares = []
        for hits, n in ((self.found, self.refusals), (self.passed, self.others)):
            drawn = rng.beta(hits + 0.5, n - hits + 0.5, size=len(observed) - 1)
            shares.append(np.concatenate([[hits / n], drawn]))
        sensitivity, specificity = shares
        power = np.where(sensitivity + specificity > 1, sensitivity + specificity - 1, np.nan)
        if np.isnan(power).mean() > 0.01:
            raise UserError(
                f"{self.refusals} refusals and {self.others} other outputs of {self.name} cannot tell its detector "
                f"(sensitivity {self.sensitivity:.2f}, specificity {self.specificity:.2f}) from chance: label more"
            )
        return np.asarray((observed + specificity - 1) / power, np.float64)


Detectors = Mapping[str, Detector]  # by arm, "attacked/<defense>" for the students of one, REST for all others


def detector_of(detectors: Detectors, arm: str, defense: str = "") -> Detector | None:
    """The one that was calibrated on an arm's outputs; None where none was on anybody's."""
    for name in (f"{arm}/{defense}", arm, REST):
        if name in detectors:
            return detectors[name]
    if detectors:
        raise UserError(
            f"the refusal detector was calibrated for {', '.join(detectors)} and not for the arm {arm!r}: a corrected "
            f'rate and an observed one cannot be compared, add {arm!r} (or "{REST}") to the file of measure.detector'
        )
    return None


def read_detectors(path: str | None) -> dict[str, Detector]:
    """A JSON list of ``{"arms": [...], "found", "refusals", "passed", "others"}``; arms of one entry share their
    detector's errors. None is no correction."""
    if path is None:
        return {}
    try:
        entries = json.loads(Path(path).read_text(encoding="utf-8"))
        return {
            str(arm): Detector("+".join(entry["arms"]), **{name: int(entry[name]) for name in COUNTS})
            for entry in entries
            for arm in entry["arms"]
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(
            f"measure.detector: {path!r} is no JSON list of objects with arms, {', '.join(COUNTS)} ({error}): make it "
            "with python -m scripts.refusals calibrate"
        ) from error


def write_detectors(path: Path, entries: Mapping[tuple[str, ...], Mapping[str, int]]) -> None:
    """The file that `read_detectors` reads; ``entries`` are counts by the arms that share them."""
    rows: list[dict[str, Any]] = [{"arms": list(arms), **counts} for arms, counts in entries.items()]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def described(detectors: Detectors) -> dict[str, dict[str, Any]]:
    """As plain data, for keys and pages."""
    return {arm: asdict(detector) for arm, detector in detectors.items()}
