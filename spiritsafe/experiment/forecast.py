"""How long a run will take: counted from what the store lacks, timed by what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.store.store import Stage

PACE = {"campaign": 45.0, "calibration": 60.0, "student": 12.0}  # seconds on one core, of the reference world


def forecast(lab: Lab, students: Sequence[Arm], workers: int) -> str:
    """One line, or nothing where there is nothing to do."""
    trained = [_pair(lab, arm) for arm in students]
    served = [
        (lab.store.stage("harvest", lab.harvest_key(stack)), lab.store.stage("examine", lab.examine_key(arm)))
        for stack, arm in ((stack, Arm("defended", stack)) for stack in lab.config["stacks"])
    ]
    campaigns = sum(not harvest.complete for harvest, _ in served)
    lacking = sum(not examined.complete for _, examined in trained)
    if not campaigns and not lacking:
        return ""
    calibrated = sum(
        not harvest.complete and any(part.get("strength", 0) is None for part in stack.values())
        for (harvest, _), stack in zip(served, lab.config["stacks"].values(), strict=True)
    )
    student, campaign = _pace("student", trained), _pace("campaign", served)
    work = campaigns * campaign + calibrated * PACE["calibration"] + lacking * student
    minutes = max(1, round(work / workers / 60))
    time = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
    return f"To do: {campaigns} campaigns and {lacking} students, about {time} here (longer on slower cores)."


def _pair(lab: Lab, arm: Arm) -> tuple[Stage, Stage]:
    examined = lab.store.stage("examine", lab.examine_key(arm))
    return (examined if arm.name == "bare" else lab.store.stage("distill", lab.distill_key(arm))), examined


def _pace(kind: str, pairs: Iterable[tuple[Stage, Stage]]) -> float:
    """Median seconds of both stages of those that are complete, or what they took when this was written."""
    known = [
        first.manifest.seconds + second.manifest.seconds
        for first, second in pairs
        if first.complete and second.complete
    ]
    return median(known) if known else PACE[kind]
