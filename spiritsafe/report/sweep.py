"""A sweep on disk: a small file a job, and one table of what all of them measured."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from spiritsafe.report.write import write_json
from spiritsafe.store.atomic import replacing

JOB, TABLE = "job.json", "sweep.csv"
STARTED, DONE = "started", "done"


@dataclass(frozen=True)
class Job:
    """One run of a sweep: its number and overrides, and how it ended. Any state but ``done`` says in one line what went
    wrong; one that is ``started`` and has no process any more was killed."""

    number: int
    overrides: Sequence[str]
    state: str = STARTED
    seconds: float = 0.0

    def write(self, folder: Path) -> None:
        write_json(folder / JOB, asdict(self))


def jobs(sweep: Path) -> dict[Path, Job]:
    """By folder, in the order of their numbers."""
    found = {path.parent: Job(**json.loads(path.read_text(encoding="utf-8"))) for path in sweep.rglob(JOB)}
    return dict(sorted(found.items(), key=lambda each: each[1].number))


def write_sweep(sweep: Path) -> Path | None:
    """Write ``sweep.csv``: the headline rows of every job that is done, beside its number, its overrides (``job.name``)
    and, of a ladder or of variants, ``job.part``. Returns its path; None where no job was done."""
    done = {folder: job for folder, job in jobs(sweep).items() if job.state == DONE}
    pieces = []
    for folder, job in done.items():
        for table in sorted(folder.rglob("headline.csv")):
            asked: dict[str, Any] = {f"job.{name}": value for name, value in named(job.overrides).items()}
            part = "" if table.parent == folder else table.parent.name
            pieces.append(pd.read_csv(table).assign(**{"job": job.number, "job.part": part, **asked}))
    if not pieces:
        return None
    whole = pd.concat(pieces, ignore_index=True)
    first = [name for name in whole.columns if name.partition(".")[0] == "job"]
    with replacing(sweep / TABLE) as unfinished:
        whole[[*first, *(name for name in whole.columns if name not in first)]].to_csv(unfinished, index=False)
    return sweep / TABLE


def named(overrides: Sequence[str]) -> dict[str, str]:
    """``{"seed": "1"}`` of ``["seed=1"]``."""
    return {name.lstrip("+~"): value for name, _, value in (text.partition("=") for text in overrides)}
