"""Several attacks on the same defenses: one run each over one store, and the worst case of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.publish import collect
from spiritsafe.measures.ladder import ladder
from spiritsafe.report.ladder import write_ladder


def rungs(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The config of each attack of a ladder: what a rung names takes the place of what they share. Controls that learn
    from an attack's prompts are trained for the first rung alone."""
    shared = {name: part for name, part in config["attack"].items() if name != "rungs"}
    found: dict[str, dict[str, Any]] = {}
    for name, rung in config["attack"]["rungs"].items():
        changed = {part: value for part, value in rung.items() if part != "objective"}
        measure = {**config["measure"], "controls": [] if found else config["measure"]["controls"]}
        objective = rung.get("objective", config["objective"])
        found[name] = {**config, "attack": {**shared, **changed}, "objective": objective, "measure": measure}
    return found


def published_ladder(labs: Mapping[str, Lab], students: Mapping[str, Sequence[Arm]], folder: Path) -> Any:
    """Write the worst case of every defense into ``folder``; returns what a terminal shows."""
    first = next(iter(labs.values()))
    results = {name: collect(lab, students[name]) for name, lab in labs.items()}
    measure = first.config["measure"]
    rows = ladder(
        {name: (result.items, result.spend) for name, result in results.items()},
        measure["targeted"],
        resamples=measure["resamples"],
        seed=first.seed,
    )
    return write_ladder(folder, rows)
