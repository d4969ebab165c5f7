"""Every command of the README, of CONTRIBUTING and of docs/ is one that works."""

import sys

import pytest
from pages import Command, commands
from ways import FILES, WAYS, Place, give, way_of

COMMANDS = commands()
PREPARES = (*FILES, "python -m scripts.new_defense", "pip")  # what the commands below it go on from


@pytest.fixture(scope="module")
def whole(tiny_world, tmp_path_factory):
    """One folder, with one store, for all pages."""
    folder = tmp_path_factory.mktemp("docs")
    tiny = [
        f"teacher.path={tiny_world.teacher}", f"student.path={tiny_world.student}", "budget.checkpoints=[16]",
        "interface.sampling.max_tokens=24", "calibration.items=2", "measure.items=2", "measure.seeds=1",
        "measure.public=8", "measure.resamples=20", "measure.controls=[]", "recipe.steps=2", "recipe.batch_size=4",
        "workers=64", f"paths.runs={folder / 'runs'}",
    ]  # fmt: skip
    return Place(folder, tiny)


@pytest.fixture
def place(whole, monkeypatch):
    path = list(sys.path)
    monkeypatch.chdir(whole.folder)
    whole.paths.clear()
    whole.configs.clear()
    yield whole
    sys.path[:] = path


@pytest.mark.parametrize("line", COMMANDS, ids=str)
def test_a_command_on_a_page_works(line, place):
    """After those above it that make what it is given on."""
    for above in COMMANDS[: COMMANDS.index(line)]:
        if way_of(above)[0] in PREPARES:
            give(above, place)
    give(line, place)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("spirits experiment=demo", KeyError),
        ("python -m scripts.nothing", KeyError),
        ("spiritsafe compare=[nobody]", Exception),
        ("spiritsafe defense=[none] measure.seed=2", Exception),
        ("python -m scripts.bench --onyl serving", SystemExit),
        ("make everything", AssertionError),
        ("pip install 'spiritsafe[nothing]'", AssertionError),
    ],
)
def test_a_command_that_does_not_work_is_found(text, error, place):
    with pytest.raises(error):
        give(Command("README", text), place)


def test_every_way_is_on_a_page():
    assert {way_of(line)[0] for line in COMMANDS} >= {*WAYS, *FILES}
