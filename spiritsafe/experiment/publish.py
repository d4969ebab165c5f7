"""Stage four: from scores to the headline, the figures and the page, out of manifests and item tables alone."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spiritsafe.experiment.keys import NONE, Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.spending import spending
from spiritsafe.measures.detector import described, read_detectors
from spiritsafe.measures.ownership import ownership
from spiritsafe.measures.transfer import headline
from spiritsafe.models import locate
from spiritsafe.report.facts import Facts
from spiritsafe.report.table import terminal
from spiritsafe.report.words import family
from spiritsafe.report.write import write, write_first_figure
from spiritsafe.store.digest import code_digest
from spiritsafe.store.keys import content_key
from spiritsafe.store.store import Stage

TERMINAL = "terminal.txt"
CONTROLS = ("answer_only", "noisy_teacher", "permuted_noise", "random_noise", "temperature", "weaker_teacher")


@dataclass
class Results:
    """``items`` is one row per arm, seed and test item, ``spend`` one per defense and checkpoint; ``costs`` and
    ``audits`` as `Facts` has them."""

    items: pd.DataFrame
    spend: pd.DataFrame
    stages: dict[str, Stage]
    costs: dict[str, dict[str, float]]
    audits: dict[str, dict[str, Any]]


def collect(lab: Lab, students: Sequence[Arm]) -> Results:
    """Everything the stages left, as tables."""
    stages: dict[str, Stage] = {}
    pieces: list[pd.DataFrame] = []
    spend: list[dict[str, Any]] = []
    costs: dict[str, dict[str, float]] = {}
    audits: dict[str, dict[str, Any]] = {}
    for stack in lab.config["stacks"]:
        harvest, examined = lab.harvested(stack), lab.examined_teacher(stack)
        stages |= {f"harvest {stack}": harvest, f"teacher {stack}": examined}
        spend += spending(lab, stack, students)
        if stack != NONE:
            costs[stack] = _serving(examined, harvest, len(lab.items(examined)))
        for name, verdicts in lab.audited(stack).items():
            marked = [verdict for arm, verdict in verdicts.items() if arm.stack == stack]
            clean = [verdict for arm, verdict in verdicts.items() if arm.stack != stack]
            if marked:
                label = stack if len(lab.config["stacks"][stack]) == 1 else f"{stack}: {name}"
                audits[label] = ownership(marked, clean)
        pieces.append(_labelled(lab, examined, Arm("defended", stack)))
        if stack == NONE:
            pieces.append(_labelled(lab, examined, Arm("teacher")))
    for arm in students:
        stages[arm.label] = lab.examined_student(arm)
        pieces.append(_labelled(lab, stages[arm.label], arm))
    return Results(pd.concat(pieces, ignore_index=True), pd.DataFrame(spend), stages, costs, audits)


def _serving(examined: Stage, harvest: Stage, questions: int) -> dict[str, float]:
    """What a stack adds to serving: passes and tokens at honest questions, work in the campaign."""
    spent = examined.manifest.notes["cost"].values()
    exchanges = harvest.manifest.notes["spend"][-1]["exchanges"]
    return {
        "forwards": sum(cost["forwards"] for cost in spent),
        "tokens": sum(cost["tokens"] for cost in spent) / max(1, questions),
        "work": harvest.manifest.notes["work_seconds"] / max(1, exchanges),
    }


def _labelled(lab: Lab, stage: Stage, arm: Arm) -> pd.DataFrame:
    table = pd.DataFrame(lab.items(stage))
    return table.assign(arm=arm.name, defense=arm.stack, exchanges=arm.exchanges, seed=arm.seed)


def rows_of(lab: Lab, results: Results) -> list[dict[str, Any]]:
    measure = lab.config["measure"]
    return headline(
        results.items,
        results.spend,
        measure["targeted"],
        resamples=measure["resamples"],
        seed=lab.seed,
        detectors=read_detectors(measure.get("detector")),
    )


def first_figure(lab: Lab, folder: Path) -> Path | None:
    """The undefended curve of the first seed, before all the rest is there."""
    undefended = Lab({**lab.config, "stacks": {NONE: {}}}, lab.parts, lab.store, lab.keys)
    results = collect(undefended, [Arm("format"), *(Arm("attacked", NONE, size) for size in lab.budget.checkpoints)])
    return write_first_figure(folder, rows_of(undefended, results))


def published(lab: Lab, students: Sequence[Arm], title: str, command: str) -> Stage:
    """The report, made where the scores or the code that draws it have changed."""
    inputs = [lab.harvest_key(stack) for stack in lab.config["stacks"]]
    inputs += [lab.examine_key(Arm("defended", stack)) for stack in lab.config["stacks"]]
    inputs += [lab.examine_key(arm) for arm in students]
    config = {**{name: lab.config[name] for name in ("measure", "prices")}, "title": title, "command": command}
    config["detectors"] = described(read_detectors(lab.config["measure"].get("detector")))
    key = content_key("report", config, inputs, code_digest(published, headline, write))
    with lab.store.building("report", key, config=config, inputs=inputs) as folder:
        if folder is not None:
            results = collect(lab, students)
            _, content = write(folder, rows_of(lab, results), results.items, _facts(lab, results, title, command))
            (folder / TERMINAL).write_text(_rendered(terminal(content)), encoding="utf-8")
    return lab.store.stage("report", key)


def copy(stage: Stage, folder: Path) -> Path:
    """The report where a person looks for it; returns its page."""
    shutil.copytree(stage.folder, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(TERMINAL))
    return folder / "report.html"


def _rendered(table: Any) -> str:
    from io import StringIO

    from rich.console import Console

    console = Console(file=StringIO(), width=100, force_terminal=True)
    console.print(table)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def _facts(lab: Lab, results: Results, title: str, command: str) -> Facts:
    config, stages = lab.config, results.stages
    found = stages[f"harvest {NONE}"].manifest
    source = config["attack"]["source"]
    stacks = config["stacks"]
    return Facts(
        title=title,
        targeted=tuple(config["measure"]["targeted"]),
        command=command,
        models={part: config[part]["path"] for part in ("teacher", "student")},
        interface=config["interface"],
        attack={"accounts": config["attack"]["accounts"].get("count", 1), "cleaners": _names(config["attack"])},
        weights=source.get("weights", {}),
        objective=config["objective"]["_target_"].rpartition(".")[2],
        controls=tuple(name for name in dict.fromkeys(map(family, stacks)) if name in CONTROLS),
        prices=config["prices"],
        costs=results.costs,
        audits=results.audits,
        detectors=read_detectors(config["measure"].get("detector")),
        calibration={stack: stages[f"harvest {stack}"].manifest.notes["defenses"] for stack in stacks},
        template=_template(config["teacher"]["path"]),
        versions=found.versions,
        platform=found.platform,
        keys={name: stage.key for name, stage in stages.items()},
        durations=_durations(stages),
    )


def _names(attack: Any) -> str:
    return ", ".join(cleaner["_target_"].rpartition(".")[2] for cleaner in attack.get("cleaners", [])) or "none"


def _template(path: str) -> str:
    file = Path(locate(path)) / "chat_template.jinja"
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.exists() else ""


def _durations(stages: dict[str, Stage]) -> dict[str, float]:
    seconds: dict[str, float] = {}
    for stage in stages.values():
        seconds[stage.name] = seconds.get(stage.name, 0.0) + stage.manifest.seconds
    return seconds
