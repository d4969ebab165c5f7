"""Several attacks on the same defenses: one run each over one store, and the worst case of all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.publish import Results
from spiritsafe.experiment.variants import merged
from spiritsafe.measures.detector import read_detectors
from spiritsafe.measures.ladder import ladder
from spiritsafe.report.ladder import write_ladder


def rungs(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The config of each attack of a ladder: a variant of the attack they share, and of its objective. Controls that
    learn from an attack's prompts are trained for the first rung alone."""
    parts = {name: part for name, part in config["attack"].items() if name != "rungs"}
    shared = {**config, "attack": {"cleaners": [], "refiners": [], **parts}}
    found: dict[str, dict[str, Any]] = {}
    for name, rung in config["attack"]["rungs"].items():
        change = {"attack": {part: value for part, value in rung.items() if part != "objective"}}
        change |= {part: value for part, value in rung.items() if part == "objective"}
        measure = {**config["measure"], "controls": [] if found else config["measure"]["controls"]}
        found[name] = {**merged(shared, change, f"attack.rungs.{name}"), "measure": measure}
    return found


def published_ladder(labs: Mapping[str, Lab], results: Mapping[str, Results], folder: Path) -> Any:
    """Write the worst case of every defense into ``folder``; returns what a terminal shows."""
    first = next(iter(labs.values()))
    measure = first.config["measure"]
    rows = ladder(
        {name: (result.items, result.spend) for name, result in results.items()},
        measure["targeted"],
        resamples=measure["resamples"],
        seed=first.seed,
        detectors=read_detectors(measure.get("detector")),
    )
    return write_ladder(folder, rows)
