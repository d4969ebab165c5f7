"""Sweeps, as in `spiritsafe -m defense=[a],[b] seed=0,1`: one job's mistake does not stop the others, and a list at the
end says what became of each. It works with any launcher: jobs and the list meet in the sweep's folder."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from spiritsafe.errors import UserError
from spiritsafe.experiment.run import cores
from spiritsafe.report.sweep import DONE, JOB, STARTED, Job, jobs, write_sweep

SAID = "output.txt"


class Begun(Callback):  # configs/run.yaml
    """Tells the process that gave the command which sweep it began."""

    sweep: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        Begun.sweep = Path(config.hydra.sweep.dir)
        for older in Begun.sweep.rglob(JOB):  # of a folder that was named
            older.unlink()


def is_job() -> bool:
    return bool(HydraConfig.get().mode == RunMode.MULTIRUN)


def do(run: Callable[[], None]) -> None:
    """One job of a sweep. What it prints goes into its folder, and what stops it is written down, not raised."""
    known, began = HydraConfig.get(), time.perf_counter()
    folder = Path(known.runtime.output_dir)
    job = Job(known.job.num, tuple(known.overrides.task))
    job.write(folder)
    print(f"job {job.number}: {' '.join(job.overrides)}\n  goes on in {folder / SAID}", flush=True)
    with (folder / SAID).open("w", encoding="utf-8", buffering=1) as said, redirect_stdout(said):
        try:
            run()
            state = DONE
        except (UserError, HydraException) as error:
            state = str(error)
        except Exception as error:
            traceback.print_exc(file=said)
            state = f"{type(error).__name__}: {error} (the traceback is in {folder / SAID})"
    job = replace(job, state=" ".join(state.split()), seconds=round(time.perf_counter() - began, 1))
    job.write(folder)
    print(f"job {job.number}: {job.state}, {job.seconds:.0f} s", flush=True)


@contextmanager
def listed() -> Iterator[None]:
    """End a sweep with the list of its jobs, also where the launcher itself broke, and with status 1 where a job is not
    done."""
    Begun.sweep = None
    try:
        yield
    finally:
        if Begun.sweep is not None and not told_of(Begun.sweep):
            sys.exit(1)


def told_of(sweep: Path) -> bool:
    """Print the list and write the table; returns whether every job is done."""
    found = jobs(sweep)
    shared = set.intersection(*(set(job.overrides) for job in found.values())) if len(found) > 1 else set()
    for wanted in (True, False):
        some = {folder: job for folder, job in found.items() if (job.state == DONE) is wanted}
        if some:
            print(f"\n{len(some)} of {len(found)} jobs {'are done' if wanted else 'FAILED'}:")
        for folder, job in some.items():
            page = folder / "report.html"
            print(f"  {job.number}: {' '.join(text for text in job.overrides if text not in shared)}")
            print(f"    {(page if page.exists() else folder) if wanted else _reason(job)}")
    if table := write_sweep(sweep):
        print(f"\nAll numbers in one table: {table}")
    if failed := sum(job.state != DONE for job in found.values()):
        print(f"{failed} failed: the same command again does these alone, what is done is in the store")
    sys.stdout.flush()
    return not failed


def _reason(job: Job) -> str:
    return "it was killed, or still runs elsewhere" if job.state == STARTED else job.state


def workers(asked: int | None) -> int | None:
    """Processes that train a job's students where nobody said: the cores, shared by the jobs that run at a time."""
    if asked or not is_job():
        return asked
    launcher: Any = OmegaConf.to_container(HydraConfig.get().launcher)
    given = launcher.get("cpus_per_task") or launcher.get("ray", {}).get("remote", {}).get("num_cpus")  # submitit, Ray
    if given:
        return max(1, int(given))
    if at_a_time := launcher.get("n_jobs"):  # joblib, where -1 is one a core
        return max(1, cores() // at_a_time) if at_a_time > 0 else 1
    return None
