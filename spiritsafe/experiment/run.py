"""One experiment from config to page: harvest, distill, examine, report; whatever is in the store is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spiritsafe.experiment.check import CONTROLS
from spiritsafe.experiment.keys import NONE, Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.parts import Parts
from spiritsafe.store.store import Store


def arms(config: Mapping[str, Any]) -> list[Arm]:
    """Every student of the comparison, the undefended curve of the first seed first: it makes the first figure."""
    seeds = range(int(config["measure"]["seeds"]))
    budgets = config["budget"]["checkpoints"]
    repeated = [name for name in config["measure"]["controls"] if name in CONTROLS]
    wanted = [Arm("bare"), *(Arm("format", seed=seed) for seed in seeds)]
    for stack in config["stacks"]:
        wanted += [Arm("attacked", stack, size, seed) for seed in seeds for size in reversed(budgets)]
    wanted += [Arm(name, "", size, seed) for name in repeated for seed in seeds for size in reversed(budgets)]
    return sorted(wanted, key=lambda arm: (arm.seed > 0, arm.stack not in ("", NONE)))


def run(
    lab: Lab, students: Sequence[Arm], *, workers: int | None = None, on_first: Callable[[], None] = lambda: None
) -> None:
    """Do what the store does not hold yet. ``on_first`` is called once the undefended curve of one seed is there."""
    for arm in students:
        lab.examine_key(arm)  # known before any process starts
    first = {
        arm for arm in students if arm.seed == 0 and arm.name in ("format", "attacked") and arm.stack in ("", NONE)
    }
    workers = workers or cores()
    with _progress() as progress, _Students(lab, workers) as pool:
        learning = progress.add_task("students trained and examined", total=len(students))

        def advance(arms: Iterable[Arm]) -> None:
            for arm in arms:
                progress.advance(learning)
                if arm in first:
                    first.remove(arm)
                    if not first:
                        on_first()

        for arm in students:
            if not _harvested_first(arm):
                pool.start(arm)
        for stack in lab.config["stacks"]:
            if not lab.store.stage("examine", lab.examine_key(Arm("defended", stack))).complete:
                _settle(workers)
            asking = progress.add_task(f"exchanges with the teacher ({stack})", total=lab.budget.exchanges)
            lab.harvested(stack, _ticker(progress, asking))
            progress.update(asking, completed=lab.budget.exchanges)
            for arm in students:
                if _harvested_first(arm) and (arm.stack or NONE) == stack:
                    pool.start(arm)
            answering = progress.add_task(f"honest questions ({stack})", total=len(lab.config["task"]) * lab.count)
            lab.examined_teacher(stack, _ticker(progress, answering))
            progress.update(answering, completed=len(lab.config["task"]) * lab.count)
            advance(pool.finished())
        advance(pool.finish())
        testing = progress.add_task("ownership tests", total=len(lab.config["stacks"]))
        for stack in lab.config["stacks"]:
            lab.audited(stack)
            progress.advance(testing)


def _harvested_first(arm: Arm) -> bool:
    return arm.name not in ("bare", "format")


# students in other processes, so that two cores train two at a time


class _Students:
    """Trains and examines what is not in the store; with nothing to do it starts no process."""

    def __init__(self, lab: Lab, workers: int) -> None:
        self._lab, self._workers = lab, workers
        self._pool: ProcessPoolExecutor | None = None
        self._going: dict[Future[None], Arm] = {}
        self._ready: list[Arm] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

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
        self._going[self._pool.submit(_student, arm)] = arm

    def finished(self) -> Iterator[Arm]:
        """Those that are done by now."""
        yield from self._ready
        self._ready = []
        for future in [future for future in self._going if future.done()]:
            arm = self._going.pop(future)
            future.result()
            yield arm

    def finish(self) -> Iterator[Arm]:
        """The others, as they come."""
        yield from self.finished()
        for future in as_completed(list(self._going)):
            future.result()
            yield self._going[future]


def cores() -> int:
    """Students trained at a time: tiny ones train fastest one to a core, on a GPU they would only queue."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1))


_lab: Lab


def _begin(config: Mapping[str, Any], parts: Parts, store: Store, keys: Mapping[Any, str], workers: int) -> None:
    global _lab
    Thread(target=_follow_parent, daemon=True).start()
    _settle(workers)
    _lab = Lab(config, parts, store, keys)


def _follow_parent() -> None:
    """Whoever kills the experiment means its students too; the pool's processes would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _settle(workers: int) -> None:
    """Share the cores: threads that wait for a taken core slow a small model down many times over. And keep quiet: many
    small models would draw many small progress bars over ours."""
    import torch
    from transformers.utils import logging

    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    logging.disable_progress_bar()


def _student(arm: Arm) -> None:
    _lab.examined_student(arm)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(elapsed_when_finished=False))


def _ticker(progress: Progress, task: TaskID) -> Callable[[int], None]:
    return lambda count: progress.advance(task, count)
