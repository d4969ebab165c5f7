from pathlib import Path

import pytest

from scripts import bench, bench_sweep
from scripts.bench_sweep import sweep
from spiritsafe.errors import UserError


def test_the_grid_is_the_same_on_both_sides(monkeypatch, capsys):
    ran, clock = [], iter(range(1000))
    monkeypatch.setattr(bench_sweep, "run_alone", ran.append)
    monkeypatch.setattr(bench_sweep, "perf_counter", lambda: float(next(clock)))
    found = sweep(["attack=a,b", "seed=0,1,2"], ["recipe.steps=2"])
    stores = [run.pop() for run in ran]
    assert len(set(stores)) == len(ran) == 7
    assert all(store.startswith("paths.runs=") for store in stores)
    whole = ran.pop(3)
    assert whole == ["-m", *bench_sweep.SIZE, "recipe.steps=2", "attack=a,b", "seed=0,1,2"]
    assert ran == [
        [*bench_sweep.SIZE, "recipe.steps=2", f"attack={attack}", f"seed={seed}"] for attack in "ab" for seed in "012"
    ]
    assert found["runs"] == len(found["alone"]) == 6
    assert found["ratio"] == found["sweep"] / sum(found["alone"]) == 1 / 6
    assert "sweep / alone: 0.17, at most 0.4" in capsys.readouterr().out


def test_only_some_alone_stand_for_all(monkeypatch):
    ran = []
    monkeypatch.setattr(bench_sweep, "run_alone", ran.append)
    found = sweep(["attack=a,b", "seed=0,1,2,3"], alone=4)
    assert [run[-3:-1] for run in ran if run[0] != "-m"] == [
        ["attack=a", "seed=0"], ["attack=a", "seed=2"], ["attack=b", "seed=0"], ["attack=b", "seed=2"]
    ]  # fmt: skip
    assert found["ratio"] == pytest.approx(found["sweep"] / (2 * sum(found["alone"])))


def test_the_default_grid_has_24_runs(monkeypatch):
    ran = []
    monkeypatch.setattr(bench_sweep, "run_alone", ran.append)
    assert sweep()["runs"] == 24
    assert len(ran) == 25


def test_it_is_a_part_of_the_bench(monkeypatch, tmp_path, tiny_world):
    """Two tiny runs, as the command does them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "experiment"))
    from command import command

    monkeypatch.setattr(bench_sweep, "run_alone", lambda overrides: ended.append(command(*overrides)))
    ended: list[int] = []
    tiny = [f"teacher.path={tiny_world.teacher}", f"student.path={tiny_world.student}", "budget.checkpoints=[8]"]
    tiny += ["interface.sampling.max_tokens=8", "measure.items=2", "measure.public=4", "measure.controls=[]"]
    tiny += ["recipe.steps=1", "recipe.batch_size=4", "measure.resamples=20", "workers=1"]
    arguments = ["--only", "sweep", "--sweep-axes", "attack=targeted,reasoning_request", "--sweep-alone", "1"]
    options = bench.parse([*arguments, "--sweep-overrides", *tiny, "--out", str(tmp_path / "bench.json")])
    found = bench.bench(options)["sweep"]
    assert found["runs"] == 2
    assert found["ratio"] > 0
    assert ended == [0, 0]


@pytest.mark.parametrize("arguments", [["--sweep-alone", "0"], ["--sweep-axes", "seed"]])
def test_sweeps_that_cannot_be_measured(arguments):
    with pytest.raises(UserError, match=arguments[0]):
        bench.parse(arguments)
