from dataclasses import dataclass
from pathlib import Path

import pytest
from command import command


@dataclass(frozen=True)
class Finished:
    """A whole run that nothing disturbed. ``small`` makes any run as small, ``overrides`` are all it was given."""

    small: list[str]
    overrides: list[str]
    runs: Path

    @property
    def store(self) -> Path:
        return self.runs / "store"


@pytest.fixture(scope="session")
def small(tiny_world) -> list[str]:
    return [
        f"teacher.path={tiny_world.teacher}",
        f"student.path={tiny_world.student}",
        "compare=[answer_only]",
        "budget.checkpoints=[8,16]",
        "interface.sampling.max_tokens=24",
        "harvest.window=4",
        "calibration.items=2",
        "measure.items=4",
        "measure.seeds=1",
        "measure.public=8",
        "measure.resamples=50",
        "recipe.steps=2",
        "recipe.batch_size=4",
        "workers=64",  # one thread each
    ]


@pytest.fixture(scope="session")
def finished(small, tmp_path_factory) -> Finished:
    runs = tmp_path_factory.mktemp("runs")
    overrides = [*small, f"paths.runs={runs}"]
    assert command(*overrides) == 0
    return Finished(small, overrides, runs)
