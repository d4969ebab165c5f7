"""How long a run will take: counted from what the store lacks, timed by what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.store.store import Stage

PACE = {"campaign": 45.0, "calibration": 60.0, "student": 12.0}  # seconds on one core, of the reference world


def forecast(work: Sequence[tuple[Lab, Sequence[Arm]]], workers: int) -> str:
    """One line on experiments with their students, or nothing where there is nothing to do."""
    trained = {lab.examine_key(arm): _pair(lab, arm) for lab, students in work for arm in students}
    served: dict[str, tuple[Stage, Stage]] = {}
    calibrated: set[str] = set()
    for lab, _ in work:
        for stack, parts in lab.config["stacks"].items():
            harvest = lab.store.stage("harvest", lab.harvest_key(stack))
            served[harvest.key] = harvest, lab.store.stage("examine", lab.examine_key(Arm("defended", stack)))
            if not harvest.complete and any(part.get("strength", 0) is None for part in parts.values()):
                calibrated.add(lab.serving_key(stack))
    campaigns = sum(not harvest.complete for harvest, _ in served.values())
    lacking = sum(not examined.complete for _, examined in trained.values())
    if not campaigns and not lacking:
        return ""
    student, campaign = _pace("student", trained.values()), _pace("campaign", served.values())
    seconds = campaigns * campaign + len(calibrated) * PACE["calibration"] + lacking * student
    minutes = max(1, round(seconds / workers / 60))
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
