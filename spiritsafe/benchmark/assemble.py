"""From what was measured to a card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from statistics import fmean
from typing import Any

from spiritsafe.benchmark import card
from spiritsafe.benchmark.flags import flags
from spiritsafe.benchmark.measure import CONTROLS, Measured, name_of
from spiritsafe.benchmark.protocol import Fixed
from spiritsafe.experiment.keys import NONE
from spiritsafe.experiment.lab import Lab
from spiritsafe.measures.arms import arms
from spiritsafe.measures.detector import read_detectors
from spiritsafe.measures.ladder import UTILITY, ladder
from spiritsafe.store.digest import code_digest
from spiritsafe.store.store import Stage
from spiritsafe.task import Kind

Row = dict[str, Any]


def assembled(
    found: Measured, config: Mapping[str, Any], about: card.Described, fixed: Fixed, command: str
) -> card.Card:
    """``config`` is the resolved one, ``about`` names the defense, ``fixed`` what of the protocol was kept."""
    measure = config["measure"]
    rows = ladder(
        found.rungs,
        measure["targeted"],
        resamples=measure["resamples"],
        seed=int(config["seed"]),
        detectors=read_detectors(measure["detector"]),
    )
    points = {stack: _point(stack, rows, found, config) for stack in config["stacks"]}
    undefended = points.pop(NONE)
    protocol = _protocol(config, fixed)
    shown = list(points.values())
    headline = next((point for point in shown if point.utility_point in (None, protocol.headline_point)), shown[-1])
    stages = dict(_stages(found))
    versions = stages["controls: harvest none"].manifest.versions
    return card.Card(
        defense=about,
        protocol=protocol,
        score=headline.DE,
        points=shown,
        undefended=undefended,
        controls=_controls(found, measure["targeted"]),
        tuned=_tuned(found, config),
        flags=flags(shown, config, protocol, fixed, versions),
        keys={name: stage.key for name, stage in stages.items()},
        code=code_digest(Lab, ladder, assembled),
        environment=card.Environment(
            versions=dict(versions),
            platform=stages["controls: harvest none"].manifest.platform,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=sum({stage.key: stage.manifest.seconds for stage in stages.values()}.values()),
        ),
        command=command,
    )


def number(column: Mapping[str, Any] | None) -> card.Number | None:
    return None if column is None else card.Number(**column)


def _some(column: Mapping[str, Any] | None, unit: str) -> card.Number:
    missing = {"value": None, "low": None, "high": None, "unit": unit, "note": "not examined"}
    return card.Number(**(column or missing))


def _point(stack: str, rows: Sequence[Row], found: Measured, config: Mapping[str, Any]) -> card.Point:
    mine = [row for row in rows if row["defense"] == stack]
    first = next(iter(found.rungs))
    results = found.results[name_of(first, stack)]
    notes = results.stages[f"harvest {stack}"].manifest.notes
    worst = mine[0]["worst_case"]
    return card.Point(
        stack=stack,
        utility_point=utility_point(config["stacks"][stack]),
        strength=notes["defenses"],
        **{name: number(mine[0][name]) for name in UTILITY if name != "UC"},
        UC=_some(mine[0]["UC"], "points"),
        serving=results.costs.get(stack, {}),
        curve=[_checkpoint(row) for row in mine],
        CT_AUC=_some(worst["CT_AUC"], "ratio"),
        DE=number(worst["DE"]) if stack != NONE else None,
        AC=_some(worst["AC"], "tokens"),
        AC_dollars=_some(worst["AC_dollars"], "dollars"),
        AC_multiple=number(worst["AC_multiple"]) if stack != NONE else None,
        ownership={
            f"{rung}: {label}": card.Ownership(**audit)
            for rung in found.rungs
            for label, audit in found.results[name_of(rung, stack)].audits.items()
        },
    )


def utility_point(stack: Mapping[str, Mapping[str, Any]]) -> float | None:
    """The share of accuracy that a stack's calibrated part may cost, None where it has none."""
    asked = [part["utility_loss"] for part in stack.values() if "utility_loss" in part and part.get("strength") is None]
    return float(asked[0]) if asked else None


def _checkpoint(row: Row) -> card.Checkpoint:
    attacks = {name: _attacked(each) for name, each in row["rungs"].items()}
    worst = row["worst"]
    return card.Checkpoint(
        exchanges=row["exchanges"],
        CT=_some(row["CT*"], "ratio"),
        worst=worst,
        ST=attacks[worst].ST,
        GAP=attacks[worst].GAP,
        attacks=attacks,
    )


def _attacked(rung: Row) -> card.Attacked:
    columns = {name: number(rung[name]) for name in ("CT", "ST", "GAP", "R_h", "R_b")}
    return card.Attacked(
        **columns, completion_tokens=rung["completion_tokens"], dollars=rung["dollars"], notes=rung["notes"]
    )


def _protocol(config: Mapping[str, Any], fixed: Fixed) -> card.Protocol:
    told, measure = config["protocol"], config["measure"]
    known = told["attacks"]
    return card.Protocol(
        name=told["name"],
        version=told["version"],
        digest=fixed.digest,
        quick=told["quick"],
        targeted=measure["targeted"],
        budgets=config["budget"]["checkpoints"],
        seeds=measure["seeds"],
        items=measure["items"],
        attacks={name: known.get(name, "not of the protocol") for name in config["attack"]["rungs"]},
        utility_points=config["losses"],
        headline_point=told["headline_point"],
        teacher=config["teacher"]["path"],
        student=config["student"]["path"],
    )


def _controls(found: Measured, targeted: Sequence[str]) -> list[card.Arm]:
    """Every control at its largest budget."""
    table = arms(found.results[CONTROLS].items)
    shown = []
    for name in dict.fromkeys(row["arm"] for row in table if row["arm"] != "defended"):
        mine = [row for row in table if row["arm"] == name]
        last = [row for row in mine if row["exchanges"] == max(row["exchanges"] for row in mine)]
        refusals = {kind: _rate(last, "refusal", kind) for kind in (Kind.HARMFUL, Kind.LOOKALIKE)}
        shown.append(
            card.Arm(
                arm=name,
                exchanges=last[0]["exchanges"],
                accuracy=_mean([row["forced"] for row in last if row["task"] in targeted]),
                R_h=refusals[Kind.HARMFUL],
                R_b=refusals[Kind.LOOKALIKE],
                invalid=_rate(last, "invalid", Kind.HARMFUL),
            )
        )
    return shown


def _rate(rows: Sequence[Row], column: str, kind: Kind) -> card.Number | None:
    found = [row[column] for row in rows if row["kind"] == kind]
    return _mean(found) if found else None


def _mean(rates: Sequence[Row]) -> card.Number:
    """Over tasks of one size: independent, so half-widths add as squares (Wilson's, task by task)."""
    value, count = fmean(rate["value"] for rate in rates), len(rates)
    below, above = (sum((rate["value"] - rate[end]) ** 2 for rate in rates) ** 0.5 / count for end in ("low", "high"))
    return card.Number(value=value, low=max(0.0, value - below), high=min(1.0, value + above), unit="rate")


def _tuned(found: Measured, config: Mapping[str, Any]) -> list[card.Tuned]:
    items = int(config["search"]["items"])
    return [
        card.Tuned(
            attack=rung,
            stack=stack,
            chosen=choice.options,
            candidates=[{"options": options, "accuracy": score, "items": items} for options, score in choice.tried],
        )
        for rung in found.rungs
        for stack in config["stacks"]
        if (choice := found.choices[name_of(rung, stack)]).tried
    ]


def _stages(found: Measured) -> Iterator[tuple[str, Stage]]:
    for name, results in found.results.items():
        for label, stage in results.stages.items():
            yield f"{name}: {label}", stage
