"""One experiment from config to page: harvest, distill, examine, report; whatever is in the store is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import pandas as pd
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spiritsafe.experiment.check import check
from spiritsafe.experiment.lab import NONE, Arm, Lab
from spiritsafe.experiment.parts import Parts
from spiritsafe.store.store import Stage, Store

REPEATED = ("oracle", "self", "random")  # controls trained at each checkpoint


def arms(config: Mapping[str, Any]) -> list[Arm]:
    """Every student of the comparison, the undefended curve of the first seed first: it makes the first figure."""
    seeds = range(int(config["measure"]["seeds"]))
    budgets = config["budget"]["checkpoints"]
    repeated = [name for name in config["measure"]["controls"] if name in REPEATED]
    wanted = [Arm("bare"), *(Arm("format", seed=seed) for seed in seeds)]
    for stack in config["stacks"]:
        wanted += [Arm("attacked", stack, size, seed) for seed in seeds for size in reversed(budgets)]
    wanted += [Arm(name, "", size, seed) for name in repeated for seed in seeds for size in reversed(budgets)]
    return sorted(wanted, key=lambda arm: (arm.seed > 0, arm.stack not in ("", NONE)))


@dataclass
class Results:
    """``items`` is one row per arm, seed and test item; ``spend`` one per defense and checkpoint; ``notes`` what each
    stack's defenses found when they were prepared; ``keys`` the stages everything came from."""

    items: pd.DataFrame
    spend: pd.DataFrame
    notes: dict[str, Any]
    keys: dict[str, str]


def run(
    config: Mapping[str, Any],
    parts: Parts,
    store: Store,
    *,
    workers: int | None = None,
    on_first: Callable[[pd.DataFrame, pd.DataFrame], None] | None = None,
) -> Results:
    """Do what the store does not hold yet. ``on_first`` gets the items and the spend of the undefended curve of one
    seed as soon as they are there."""
    lab = Lab(config, parts, store)
    check(lab)
    wanted = arms(config)
    for arm in wanted:
        lab.examine_key(arm)
    first = [arm for arm in wanted if arm.seed == 0 and arm.name in ("format", "attacked") and arm.stack in ("", NONE)]
    with _progress() as progress, _students(lab, workers) as students:
        done = progress.add_task("students trained and examined", total=len(wanted))
        for arm in wanted:
            if not _harvested_first(arm):
                students.start(arm)
        for stack in config["stacks"]:
            _quiet()
            asking = progress.add_task(f"exchanges with the teacher ({stack})", total=lab.budget.exchanges)
            lab.harvested(stack, _ticker(progress, asking))
            progress.update(asking, completed=lab.budget.exchanges)
            for arm in wanted:
                if _harvested_first(arm) and (arm.stack or NONE) == stack:
                    students.start(arm)
            answering = progress.add_task(f"honest questions ({stack})", total=None)
            lab.examined_teacher(stack, _ticker(progress, answering))
            progress.update(answering, total=1, completed=1)
        for arm in students.finish():
            progress.advance(done)
            if arm in first:
                first.remove(arm)
                if not first and on_first is not None:
                    on_first(*_early(lab))
    return collect(lab, wanted)


def collect(lab: Lab, wanted: Sequence[Arm]) -> Results:
    """Everything the stages left, as tables."""
    stacks = list(lab.config["stacks"])
    pieces, keys, notes, spend = [], {}, {}, []
    for stack in stacks:
        harvest = lab.harvested(stack)
        keys[f"harvest {stack}"] = harvest.key
        notes[stack] = harvest.manifest.notes["defenses"]
        spend += [{"defense": stack, "exchanges": row.pop("checkpoint"), **_cost(row)} for row in _spends(harvest)]
        examined = lab.examined_teacher(stack)
        keys[f"teacher {stack}"] = examined.key
        pieces.append(_labelled(lab, examined, Arm("defended", stack)))
        if stack == NONE:
            pieces.append(_labelled(lab, examined, Arm("teacher")))
    for arm in wanted:
        stage = lab.examined_student(arm)
        if stage is not None:
            pieces.append(_labelled(lab, stage, arm))
            keys[" ".join(str(part) for part in vars(arm).values() if part not in ("", 0)) or arm.name] = stage.key
    return Results(pd.concat(pieces, ignore_index=True), pd.DataFrame(spend), notes, keys)


def _early(lab: Lab) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the first figure needs: the undefended curve of the first seed."""
    part = [Arm("format"), *(Arm("attacked", NONE, size) for size in lab.budget.checkpoints)]
    only = Lab({**lab.config, "stacks": {NONE: lab.config["stacks"][NONE]}}, lab.parts, lab.store)
    results = collect(only, part)
    return results.items, results.spend


def _spends(stage: Stage) -> list[dict[str, int]]:
    return [dict(row) for row in stage.manifest.notes["spend"]]


def _cost(row: Mapping[str, int]) -> dict[str, int]:
    return {name: row[name] for name in ("prompt_tokens", "completion_tokens", "accounts")}


def _labelled(lab: Lab, stage: Stage, arm: Arm) -> pd.DataFrame:
    table = pd.DataFrame(lab.items(stage))
    return table.assign(arm=arm.name, defense=arm.stack, exchanges=arm.exchanges, seed=arm.seed)


def _harvested_first(arm: Arm) -> bool:
    return arm.name not in ("bare", "format")


# students in other processes, so that two cores train two at a time


class _Students:
    """Trains and examines what is not in the store; with nothing to do it starts no process."""

    def __init__(self, lab: Lab, workers: int) -> None:
        self._lab, self._workers = lab, workers
        self._pool: ProcessPoolExecutor | None = None
        self._futures: dict[Future[None], Arm] = {}
        self._ready: list[Arm] = []

    def start(self, arm: Arm) -> None:
        if self._lab.store.stage("examine", self._lab.examine_key(arm)).complete:
            self._ready.append(arm)
            return
        if self._pool is None:
            lab = self._lab
            initial = (lab.config, lab.parts, lab.store, lab.keys, self._workers)
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=get_context("spawn"), initializer=_begin, initargs=initial
            )
        self._futures[self._pool.submit(_student, arm)] = arm

    def finish(self) -> Iterator[Arm]:
        yield from self._ready
        for future in as_completed(self._futures):
            future.result()
            yield self._futures[future]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _students(lab: Lab, workers: int | None) -> Iterator[_Students]:
    students = _Students(lab, workers or _cores())
    try:
        yield students
    finally:
        students.close()


def _cores() -> int:
    """Tiny students train fastest one to a core; on a GPU they would only queue."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1))


_lab: Lab


def _begin(config: Mapping[str, Any], parts: Parts, store: Store, keys: Mapping[Any, str], workers: int) -> None:
    import torch

    global _lab
    _quiet()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    _lab = Lab(config, parts, store, keys)


def _quiet() -> None:
    """Many small models would draw many small progress bars over ours."""
    from transformers.utils import logging

    logging.disable_progress_bar()


def _student(arm: Arm) -> None:
    _lab.examined_student(arm)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(elapsed_when_finished=False))


def _ticker(progress: Progress, task: TaskID) -> Callable[[int], None]:
    return lambda count: progress.advance(task, count)
