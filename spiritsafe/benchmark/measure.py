"""One defense under a protocol: which experiments that takes, run over one store, and what each attack got."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spiritsafe.benchmark.tuning import Choice, Run, chosen, with_options
from spiritsafe.experiment.check import check
from spiritsafe.experiment.keys import NONE, Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import rungs
from spiritsafe.experiment.parts import Parts
from spiritsafe.experiment.publish import Results, collect
from spiritsafe.experiment.run import arms
from spiritsafe.store.store import Store

CONTROLS = "controls"  # beside what the attacks do: the ends of the scale, trained as the protocol says


@dataclass
class Measured:
    """``rungs`` are the items and spend of each attack, as `ladder` reads them; ``results`` and ``labs`` are by the
    name of the experiment: ``controls``, or an attack and a stack."""

    labs: dict[str, Lab]
    results: dict[str, Results]
    rungs: dict[str, tuple[pd.DataFrame, pd.DataFrame]]
    choices: dict[str, Choice]


def measured(config: Mapping[str, Any], parts: Parts, store: Store, run: Run, audit: Callable[..., None]) -> Measured:
    """Everything that the card of ``config`` (its ``stacks``: undefended, and the defense at each utility point) is
    made of. ``run`` and ``audit`` are those of `spiritsafe.experiment.run`."""
    attacks = rungs(config)
    for each in attacks.values():
        check(Lab(each, parts, store))
    first = next(iter(attacks))
    controls = Lab({**attacks[first], "stacks": {NONE: {}}}, parts, store)
    plain = {
        name_of(rung, stack): Lab({**each, "stacks": {stack: config["stacks"][stack]}}, parts, store)
        for rung, each in attacks.items()
        for stack in config["stacks"]
    }
    choices = chosen(plain, config["search"], run, int(config["seed"]))
    labs = {CONTROLS: controls} | {name: with_options(lab, choices[name].options) for name, lab in plain.items()}
    students = {name: _students(name, lab) for name, lab in labs.items()}
    run(labs, students)
    audit({name: lab for name, lab in labs.items() if name != CONTROLS})
    results = {name: collect(lab, students[name]) for name, lab in labs.items()}
    return Measured(labs, results, {rung: _rung(rung, config["stacks"], results, first) for rung in attacks}, choices)


def name_of(rung: str, stack: str) -> str:
    return f"{rung} {stack}"


def _students(name: str, lab: Lab) -> list[Arm]:
    return [arm for arm in arms(lab.config) if (arm.name == "attacked") == (name != CONTROLS)]


def _rung(
    rung: str, stacks: Sequence[str], results: Mapping[str, Results], first: str
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One attack's table: the ends of the scale, the teacher behind each stack, its own students."""
    served = [_items(results[name_of(first, stack)], "defended") for stack in stacks]
    mine = [results[name_of(rung, stack)] for stack in stacks]
    students = [_items(result, "attacked") for result in mine]
    items = [_without(results[CONTROLS].items, "defended"), *served, *students]
    return pd.concat(items, ignore_index=True), pd.concat([result.spend for result in mine], ignore_index=True)


def _items(results: Results, arm: str) -> pd.DataFrame:
    return results.items[results.items["arm"] == arm]


def _without(items: pd.DataFrame, arm: str) -> pd.DataFrame:
    return items[items["arm"] != arm]
