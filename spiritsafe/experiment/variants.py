"""The same experiment with something other than the defense changed: a run of its own each, over one store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.publish import Results
from spiritsafe.measures.detector import read_detectors
from spiritsafe.measures.variants import Variant, compared
from spiritsafe.report.variants import write_variants

COMMON = ("stacks", "variants", "paths", "title", "next", "workers")  # of the run, not of a variant


def variants(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The config of each variant: `merged` from the one they share and what it names. Raises where a name cannot be a
    folder's, or an option is unknown."""
    own = {name: part for name, part in config.items() if name not in COMMON}
    found: dict[str, dict[str, Any]] = {}
    for name, change in config["variants"].items():
        if name in ("", ".", "..") or "/" in name:
            raise UserError(f"the variant {name!r} cannot name a folder: give it a name without /")
        found[name] = {**config, "variants": {}, **merged(own, change, f"variants.{name}")}
    return found


def merged(config: Any, change: Any, path: str) -> Any:
    """``config`` with ``change`` in it: groups option by option, everything else whole. So is a part that names its
    ``_target_``. As on the command line, ``+`` before an option adds one that is not there."""
    if not isinstance(config, Mapping) or (isinstance(change, Mapping) and "_target_" in change):
        return change
    if not isinstance(change, Mapping):
        if change is None:
            return None
        raise UserError(f"{path} is a group of options ({', '.join(config)}), not {change!r}: name those that change")
    found = dict(config)
    for written, value in change.items():
        option = str(written).removeprefix("+")
        if option == written and option not in config:
            raise UserError(
                f"{path}.{option} is not an option: change some of {', '.join(config)}, or write +{option} to add it"
            )
        found[option] = merged(config[option], value, f"{path}.{option}") if option in config else value
    return found


def published_variants(labs: Mapping[str, Lab], results: Mapping[str, Results], folder: Path) -> Any:
    """Write the table over variants into ``folder``; returns what a terminal shows."""
    first = next(iter(labs.values()))
    tables = {
        name: Variant(
            results[name].items, results[name].spend, measure["targeted"], read_detectors(measure.get("detector"))
        )
        for name, measure in ((name, lab.config["measure"]) for name, lab in labs.items())
    }
    rows = compared(tables, resamples=first.config["measure"]["resamples"], seed=first.seed)
    return write_variants(folder, rows)
