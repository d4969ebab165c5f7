"""`spiritsafe -m` with each launcher: nothing is made twice, and a failing job costs the others nothing."""

import importlib.util
import os
import subprocess
import sys
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import pytest
from command import Here, command, process
from sweeping import Noted, NotedSFT

from spiritsafe.report.sweep import DONE, Job, jobs, write_sweep
from spiritsafe.store.store import Store

HERE = str(Path(__file__).parent)
PATIENCE = 600  # seconds: it guards against waiting for ever, and times nothing
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(["scripts.run", "accelerate", "transformers.models.llama.modeling_llama"])
SWEPT = ["attack=targeted,random_queries", "workers=1"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("sweeps")


@pytest.fixture(scope="module")
def parts(small, runs) -> list[str]:
    """The smallest runs there are, with parts that note what they do."""
    log = runs / "log"
    return [
        *(each for each in small if not each.startswith(("compare=", "budget.", "workers="))),
        "budget.checkpoints=[8]",
        "measure.controls=[]",
        f"+defense.noted={{_target_: sweeping.{Noted.__name__}, log: {log}}}",
        *(f"{part}._target_=sweeping.{NotedSFT.__name__}" for part in ("objective", "control_objective")),
        *(f"+{part}.log={log}" for part in ("objective", "control_objective")),
        f"paths.runs={runs}",
    ]


@pytest.fixture(scope="module")
def swept(parts, runs) -> list[str]:
    """Two runs at the same time over one store, of which a sweep is made; returns what was noted."""
    together = [
        CONTEXT.Process(target=process, args=[*parts, f"attack={name}"]) for name in ("targeted", "random_queries")
    ]
    for one in together:
        one.start()
    for one in together:
        one.join(PATIENCE)
    assert [one.exitcode for one in together] == [0, 0]
    return (runs / "log").read_text().split()


def newest(runs: Path) -> Path:
    return sorted(path.parent for path in runs.glob("*/multirun.yaml"))[-1]


def made(runs: Path) -> dict[Path, int]:
    """Every stage, and when it was."""
    return {path: path.stat().st_mtime_ns for path in (runs / "store").glob("*/*/manifest.json")}


def test_what_jobs_share_is_made_once(swept):
    """Both need the calibrated defense and the format student; each has two students of its own."""
    assert (swept.count("calibrated"), swept.count("trained")) == (1, 5)


def test_a_second_sweep_does_no_work(swept, parts, runs, capsys):
    class NoProcess(Here):
        def __init__(self, *_, **__):
            raise AssertionError("a process was started")

    before = made(runs)
    assert command("-m", *parts, *SWEPT, pool=NoProcess) == 0
    again = {path.parent.parent.name for path in made(runs).keys() - before.keys()}
    assert again <= {"report"}  # it names the command
    assert (runs / "log").read_text().split() == swept
    before = made(runs)
    assert command("-m", *parts, *SWEPT, pool=NoProcess) == 0
    assert made(runs) == before
    assert "2 of 2 jobs are done:\n  0: attack=targeted\n" in capsys.readouterr().out
    table = pd.read_csv(newest(runs) / "sweep.csv")
    assert list(zip(table["job.attack"], table["defense"], strict=True)) == [
        (attack, stack) for attack in ("targeted", "random_queries") for stack in ("none", "noted")
    ]
    assert (table["exchanges"] == 8).all()


def test_the_real_command_with_joblib(swept, parts, runs):
    """One of three jobs asks for what this interface does not show."""
    line = [sys.executable, "-m", "scripts.run", "-m", *parts, "attack=targeted,random_queries,recover_bayes"]
    line += ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": HERE}
    ended = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert_listed(ended.stdout, newest(runs), 3, "interface=logprobs")
    assert (runs / "log").read_text().split() == swept


def test_submitit_and_a_job_that_is_killed(swept, parts, runs, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE)
    killed = f"{{_target_: sweeping.Noted, log: {runs / 'log'}}},{{_target_: sweeping.Killed}}"
    some = [each for each in parts if not each.startswith("+defense")]
    assert command("-m", *some, f"+defense.noted={killed}", "workers=1", "hydra/launcher=submitit_local") == 1
    assert_listed(capsys.readouterr().out, newest(runs), 2, "it was killed")
    assert (runs / "log").read_text().split() == swept


@pytest.mark.skipif(
    importlib.util.find_spec("ray") is None or importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is None,
    reason="Ray is not installed: pip install 'spiritsafe[ray]'",
)
def test_ray(swept, parts, runs, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", HERE)
    attacks = "attack=targeted,recover_bayes"
    assert command("-m", *parts, attacks, "hydra/launcher=ray", "+hydra.launcher.ray.remote.num_cpus=1") == 1
    assert_listed(capsys.readouterr().out, newest(runs), 2, "interface=logprobs")
    assert (runs / "log").read_text().split() == swept


def assert_listed(said: str, sweep: Path, count: int, reason: str) -> None:
    """All jobs but the last are done, and the table has only these."""
    found = list(jobs(sweep).items())
    wrong = found.pop()
    assert len(found) == count - 1
    assert all(job.state == DONE and (folder / "report.html").exists() for folder, job in found)
    assert wrong[1].state != DONE
    assert f"{count - 1} of {count} jobs are done:" in said
    listed = said[said.index(f"1 of {count} jobs FAILED:") :].splitlines()
    assert listed[1].startswith(f"  {wrong[1].number}: ")
    assert reason in listed[2]
    assert set(pd.read_csv(sweep / "sweep.csv")["job"]) == {job.number for _, job in found}


def test_a_bug_in_one_job_is_told_with_its_traceback(small, tmp_path, capsys):
    some = [each for each in small if not each.startswith("compare=")]
    sweep = tmp_path / "named"
    sweep.mkdir()
    Job(7, ("seed=7",), DONE).write(sweep)  # an earlier sweep's
    assert command("-m", *some, "+defense.mine._target_=sweeping.Broken", f"paths.runs={tmp_path}",
                   f"hydra.sweep.dir={sweep}") == 1  # fmt: skip
    ((folder, job),) = jobs(sweep).items()
    assert job.state.startswith("ZeroDivisionError: the defense divided by zero")
    assert "Traceback" in (folder / "output.txt").read_text()
    assert not (sweep / "sweep.csv").exists()
    assert "1 of 1 jobs FAILED" in capsys.readouterr().out


def test_a_job_that_cannot_be_composed_stops_the_sweep_before_it_begins(small, tmp_path, capsys):
    assert command("-m", *small, "student=base-small,nowhere", f"paths.runs={tmp_path}") == 1
    assert not (tmp_path / "store").exists()
    assert "student/nowhere" in capsys.readouterr().err


def test_the_table_has_every_part_of_a_job(tmp_path):
    for number, part in ((0, ""), (1, "plain"), (1, "voting"), (2, "")):
        folder = tmp_path / str(number) / part
        folder.mkdir(parents=True, exist_ok=True)
        Job(number, (f"seed={number}", "+x.y=[a,b]"), "no" if number == 2 else DONE).write(tmp_path / str(number))
        (folder / "headline.csv").write_text("defense,exchanges,CT\nnone,8,0.5\n")
    assert write_sweep(tmp_path) == tmp_path / "sweep.csv"
    assert (tmp_path / "sweep.csv").read_text().splitlines() == [
        "job,job.part,job.seed,job.x.y,defense,exchanges,CT",
        '0,,0,"[a,b]",none,8,0.5',
        '1,plain,1,"[a,b]",none,8,0.5',
        '1,voting,1,"[a,b]",none,8,0.5',
    ]


@pytest.mark.parametrize(
    ("launcher", "asked", "share"),
    [
        ({"n_jobs": -1}, None, 1),
        ({"n_jobs": 2}, None, 4),
        ({"n_jobs": 20}, None, 1),
        ({"n_jobs": 2}, 3, 3),
        ({"cpus_per_task": 5}, None, 5),
        ({"cpus_per_task": None}, None, None),
        ({"ray": {"remote": {"num_cpus": 2}}}, None, 2),
        ({"_target_": "basic"}, None, None),
    ],
)
def test_jobs_at_a_time_share_the_cores(launcher, asked, share, monkeypatch):
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from scripts import sweep

    monkeypatch.setattr(sweep, "cores", lambda: 8)
    for mode, expected in ((RunMode.MULTIRUN, share), (RunMode.RUN, asked)):
        known = OmegaConf.create({"mode": mode, "launcher": launcher})
        monkeypatch.setattr(HydraConfig, "get", staticmethod(lambda known=known: known))
        assert sweep.workers(asked) == expected


def test_whoever_comes_second_waits(tmp_path):
    with Store(tmp_path).locked("calibration", "k"):
        other = CONTEXT.Process(target=_wait, args=(tmp_path, tmp_path / "heard"))
        other.start()
        while not (tmp_path / "heard").exists():
            assert other.is_alive()
        assert not (tmp_path / "in").exists()
    other.join(PATIENCE)
    assert (tmp_path / "in").exists()


def _wait(root: Path, heard: Path) -> None:
    with Store(root).locked("calibration", "k", waiting=lambda message: heard.write_text(message)):
        (root / "in").touch()
