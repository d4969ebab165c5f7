"""One experiment from config to page: harvest, distill, examine, report; whatever is in the store is not done again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process
from multiprocessing.context import ForkServerContext
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
    labs: Mapping[str, Lab],
    students: Mapping[str, Sequence[Arm]],
    *,
    workers: int | None = None,
    on_first: Callable[[], None] = lambda: None,
) -> None:
    """Do what the store does not hold yet, for experiments over one store: each by its name, with its students.

    ``on_first`` is called once the undefended curve of the first experiment's first seed is there.
    """
    for name, lab in labs.items():
        for arm in students[name]:
            lab.examine_key(arm)  # known before any process starts
    leading = next(iter(labs))
    first = {
        (leading, arm)
        for arm in students[leading]
        if arm.seed == 0 and arm.name in ("format", "attacked") and arm.stack in ("", NONE)
    }
    workers = workers or cores()
    with _progress() as progress, _Students(labs, workers) as pool:
        learning = progress.add_task("students trained and examined", total=sum(map(len, students.values())))

        def advance(done: Iterable[tuple[str, Arm]]) -> None:
            for student in done:
                progress.advance(learning)
                if student in first:
                    first.remove(student)
                    if not first:
                        on_first()

        for name in labs:
            for arm in students[name]:
                if not _harvested_first(arm):
                    pool.start(name, arm)
        for name, lab in labs.items():
            told = f"{name}, " if len(labs) > 1 else ""
            for stack in lab.config["stacks"]:
                if not lab.store.stage("examine", lab.examine_key(Arm("defended", stack))).complete:
                    _settle(workers)
                asking = progress.add_task(f"exchanges with the teacher ({told}{stack})", total=lab.budget.exchanges)
                lab.harvested(stack, _ticker(progress, asking))
                _finish(progress, asking, hide=len(labs) > 1)
                for arm in students[name]:
                    if _harvested_first(arm) and (arm.stack or NONE) == stack:
                        pool.start(name, arm)
                answering = progress.add_task(f"honest questions ({stack})", total=len(lab.config["task"]) * lab.count)
                lab.examined_teacher(stack, _ticker(progress, answering))
                _finish(progress, answering, hide=len(labs) > 1)
                advance(pool.finished())
        advance(pool.finish())


def audit(labs: Mapping[str, Lab]) -> None:
    """Try the ownership tests of every stack that has one."""
    with _progress() as progress:
        testing = progress.add_task("ownership tests", total=sum(len(lab.config["stacks"]) for lab in labs.values()))
        for lab in labs.values():
            for stack in lab.config["stacks"]:
                lab.audited(stack)
                progress.advance(testing)


def _harvested_first(arm: Arm) -> bool:
    return arm.name not in ("bare", "format")


# students in other processes, so that two cores train two at a time


class _Students:
    """Trains and examines what is not in the store; with nothing to do it starts no process."""

    def __init__(self, labs: Mapping[str, Lab], workers: int) -> None:
        self._labs, self._workers = labs, workers
        self._pool: ProcessPoolExecutor | None = None
        self._jobs: dict[str, Future[None]] = {}  # by what they examine: experiments may share a student
        self._going: list[tuple[Future[None], tuple[str, Arm]]] = []
        self._ready: list[tuple[str, Arm]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def start(self, name: str, arm: Arm) -> None:
        lab = self._labs[name]
        key = lab.examine_key(arm)
        if lab.store.stage("examine", key).complete:
            self._ready.append((name, arm))
            return
        if self._pool is None:
            told = {each: (lab.config, lab.parts, lab.store, lab.keys) for each, lab in self._labs.items()}
            self._pool = ProcessPoolExecutor(
                self._workers, mp_context=_context(told), initializer=_begin, initargs=(told, self._workers)
            )
        if key not in self._jobs:
            self._jobs[key] = self._pool.submit(_student, name, arm)
        self._going.append((self._jobs[key], (name, arm)))

    def finished(self) -> Iterator[tuple[str, Arm]]:
        """Those that are done by now."""
        yield from self._ready
        self._ready = []
        done = {future for future, _ in self._going if future.done()}
        told = [(future, student) for future, student in self._going if future in done]
        self._going = [(future, student) for future, student in self._going if future not in done]
        for future, student in told:
            future.result()
            yield student

    def finish(self) -> Iterator[tuple[str, Arm]]:
        """The others, as they come."""
        yield from self.finished()
        for _ in as_completed({future for future, _ in self._going}):
            yield from self.finished()


def cores() -> int:
    """Students trained at a time: tiny ones train fastest one to a core, on a GPU they would only queue."""
    import torch

    return 1 if torch.cuda.is_available() else max(1, (os.cpu_count() or 1))


def _context(told: Mapping[str, Told]) -> ForkServerContext:
    """Processes forked off one that has the imports behind it: they are half of what a small student costs."""
    context = get_context("forkserver")
    parts = {part.__module__ for _, parts, _, _ in told.values() for part in vars(parts).values()}
    models = ("accelerate", "transformers.models.auto.modeling_auto", "transformers.modeling_utils")
    context.set_forkserver_preload([*sorted(parts), *models])
    return context


_labs: dict[str, Lab]
Told = tuple[Mapping[str, Any], Parts, Store, Mapping[Any, str]]


def _begin(told: Mapping[str, Told], workers: int) -> None:
    global _labs
    Thread(target=_follow_parent, daemon=True).start()
    _settle(workers)
    _labs = {name: Lab(*each) for name, each in told.items()}


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


def _student(name: str, arm: Arm) -> None:
    _labs[name].examined_student(arm)


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(elapsed_when_finished=False))


def _finish(progress: Progress, task: TaskID, *, hide: bool) -> None:
    """Many experiments would leave more bars than a terminal has lines."""
    progress.update(task, completed=progress.tasks[task].total, visible=not hide)


def _ticker(progress: Progress, task: TaskID) -> Callable[[int], None]:
    return lambda count: progress.advance(task, count)
