"""How each kind of command is run: as it stands, on models and sizes that take a second or two.

A way takes the words after its prefix and the `Place` of its page. What can only be seen at full size is composed and
checked first, everything of it.
"""

import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmark_cards import card
from command import Here, command, laboratory
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from pages import ROOT, Command

from defenses.primitives.calibrated import Calibrated
from scripts import bench, benchmark, campaign, detector_table, figures, leaderboard, new_defense
from scripts import run as running
from scripts.parts import PARTS
from spiritsafe.benchmark.card import write
from spiritsafe.experiment import run as training
from spiritsafe.experiment.check import check
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import rungs
from spiritsafe.experiment.variants import variants
from spiritsafe.store.store import Store

GIVEN = {  # for what a page leaves to its reader
    "objective=...": "objective=gkd",
    "figure=NAME": "figure=reasoning_withheld",
    "DATA": "data",
    "+defense.mine._target_=my_package.Mine": "+defense.mine._target_=defenses.answer_only.AnswerOnly",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
REFUSING = ("refusal_seeding", "policy_trap")  # they need a teacher that refuses, and an untrained one does not
HUB = ("real_", "gsm8k")  # of an experiment or a task: what it runs on is not in the repository


@dataclass
class Place:
    """Where the commands are given. ``tiny`` are overrides that make a run small, ``paths`` what it has
    put on Python's path and ``configs`` the folder of configs of a package that it installed."""

    folder: Path
    tiny: list[str]
    paths: list[Path] = field(default_factory=list)
    configs: list[str] = field(default_factory=list)


def spiritsafe(words: Sequence[str], place: Place) -> None:
    """One experiment is run; of several all are checked, and tests/experiment runs a ladder, variants and a sweep."""
    missing = [name for name in ("wandb", "mlflow") if f"tracker=[{name}]" in words and find_spec(name) is None]
    if "-m" in words:
        launcher = [word for word in words if word.startswith("hydra")]
        parsed = OverridesParser.create().parse_overrides([word for word in words if word not in {"-m", *launcher}])
        [jobs] = BasicSweeper.split_arguments(parsed, max_batch_size=None)
        for job in jobs:
            composed([*job, *launcher], place)
    elif "--config-dir" in words or place.configs or missing or composed(words, place):
        with reduced():
            assert command(*place.configs, *words, *place.tiny) == (2 if missing else 0)


def composed(asked: Sequence[str], place: Place) -> bool:
    """Everything that the command would do, as it stands: each attacker, variant and defense is built and checked.
    Returns whether it is one experiment of a few defenses, on what the repository has."""
    lab = laboratory(*asked, f"paths.runs={place.folder}")
    if any(name in word for word in asked for name in HUB):  # tests/experiment/test_real_presets.py runs them
        assert all(part["_target_"] for part in lab.config["task"].values())
        return False
    each = (rungs(lab.config) if "rungs" in lab.config["attack"] else variants(lab.config)) or {"": lab.config}
    for config in each.values():
        check(Lab(config, lab.parts, lab.store))
    return len(each) == 1 and len(lab.config["stacks"]) < 10


@contextmanager
def reduced() -> Iterator[None]:
    """The undefended teacher and one more stack, and no search for a strength: an untrained teacher has no accuracy to
    lose."""

    def stacked(config: Any) -> dict[str, Any]:
        plain = resolve(config)
        some = [name for name in plain["stacks"] if not name.startswith(REFUSING)]
        return {**plain, "stacks": {name: plain["stacks"][name] for name in (some[0], some[-1])}}

    def strong(defense: Calibrated, _: Any) -> None:
        defense.strength = defense.strength or min(defense.interval[1], max(defense.interval[0], 1.0))

    resolve = running.resolve
    with (
        patch.object(running, "resolve", stacked),
        patch.object(Calibrated, "calibrate", strong),
        patch.object(training, "ProcessPoolExecutor", Here),
    ):
        yield


def called(main: Callable[[], Any], *arguments: str) -> int:
    with patch.object(sys, "argv", ["command", *arguments]):
        try:
            return int(main() or 0)
        except SystemExit as stopped:
            return int(stopped.code or 0)


def benchmarked(words: Sequence[str], place: Place) -> None:
    """The quick protocol is run, the whole one is checked."""
    if "protocol=lab-v1" in words:
        with patch.object(benchmark, "benchmark", checked):
            assert called(benchmark.main, *words, f"paths.runs={place.folder}") == 0
        return
    with reduced():
        assert called(benchmark.main, *words, *place.tiny) == 0
    assert list(Path("leaderboard/cards").glob("*/*.json"))


def checked(config: Any) -> None:
    plain = running.resolve(config)
    for each in rungs(plain).values():
        check(Lab(each, PARTS, Store(Path(config.paths.store))))


def ranked(words: Sequence[str], place: Place) -> None:
    folder = place.folder / "leaderboard" / "cards"
    folder.mkdir(parents=True, exist_ok=True)
    write(card(), folder / "invented.json")
    assert leaderboard.main(list(words)) == 0


def simulated(words: Sequence[str], place: Place) -> None:
    """A first look is run; the others are built at full scale, and tests/scripts/test_campaign.py runs their like."""
    if any(word.startswith("population.scale=") for word in words):
        sizes = ["population=small", "population.scale=0.0005", "campaign.scale=0.0005", "prompts=64", "days=3",
                 "detection.windows.size=64", "execution.place=serial", "execution.partitions=1",
                 "execution.progress=false"]  # fmt: skip
        assert called(campaign.main, *words, *sizes, f"paths.runs={place.folder}") == 0
    else:
        with patch.object(campaign, "simulated", lambda config: campaign.Run.of(campaign.resolve(config), "")):
            assert called(campaign.main, *words, f"paths.runs={place.folder}") == 0


def drawn(words: Sequence[str], place: Place) -> None:
    """All figures compose in tests/configs/test_figure_configs.py; one is run, and all at full scale are told."""
    sizes = [*place.tiny, "calibration.items=2"]
    if "figure=all" in words:
        assert figures.parsed(words)[0] == "all"
    else:
        with reduced():
            assert called(figures.main, *words, *sizes) in ((2, 0) if "scale=full" in words else (0,))


def begun(words: Sequence[str], place: Place) -> None:
    if not (place.folder / words[0]).exists():
        new_defense.main(list(words))


def tabled(words: Sequence[str], place: Place) -> None:
    """On an empty folder: tests/campaign/test_window_table.py has the rest."""
    (place.folder / "data").mkdir(exist_ok=True)
    assert called(detector_table.main, *words) == 2


def benched(words: Sequence[str], place: Place) -> None:
    assert bench.parse(list(words)).only  # each part is run in tests/scripts


def page_of(module: str) -> Callable[[Sequence[str], Place], None]:
    """What rewrites a file of the repository is only known to be there: a test of its own compares file and page."""

    def known(words: Sequence[str], place: Place) -> None:
        assert callable(importlib.import_module(module).main)
        assert not words

    return known


def tested(words: Sequence[str], place: Place) -> None:
    """What it finds: tests/scripts/test_new_defense.py runs a new defense's test."""
    assert [path for word in words for path in (place.folder / word).glob("test_*.py")]


def made(words: Sequence[str], place: Place) -> None:
    assert set(words) <= set(TARGETS)


def installed(words: Sequence[str], place: Place) -> None:
    """An extra that there is, or a folder with a package (tests/experiment/test_plugins.py installs it)."""
    verb, *rest = words
    for word in (word for word in rest if not word.startswith("-")):
        name, _, extra = word.rstrip("]").partition("[")
        if (source := ROOT / word / "src").exists():
            place.paths.append(source)
            [configs] = source.glob("*/configs")
            place.configs[:] = ["--config-dir", str(configs)]
        elif verb == "uninstall":
            assert f'name = "{word}"' in (ROOT / "tests" / "plugin" / "pyproject.toml").read_text()
            place.paths.clear()
            place.configs.clear()
        elif name == PROJECT["name"]:
            assert not extra or extra in PROJECT["optional-dependencies"]
        else:
            wanted = [need for needs in PROJECT["optional-dependencies"].values() for need in needs]
            assert any(re.split(r"[<>=]", need)[0] == name for need in wanted)


def entered(words: Sequence[str], place: Place) -> None:
    assert words == [".venv/bin/activate"]
    assert "BIN := .venv/bin" in (ROOT / "Makefile").read_text()


def shell(line: str, place: Place) -> None:
    subprocess.run(["bash", "-ec", line], cwd=place.folder, check=True)


WAYS: dict[str, Callable[[Sequence[str], Place], None]] = {
    "spiritsafe": spiritsafe,
    "python -m scripts.benchmark": benchmarked,
    "python -m scripts.leaderboard": ranked,
    "python -m scripts.campaign": simulated,
    "python -m scripts.figures": drawn,
    "python -m scripts.new_defense": begun,
    "python -m scripts.detector_table": tabled,
    "python -m scripts.bench": benched,
    "python -m scripts.build_reference": page_of("scripts.build_reference"),
    "python -m scripts.curves": page_of("scripts.curves"),
    "python -m scripts.defenses_page": page_of("scripts.defenses_page"),
    "python -m scripts.figures_page": page_of("scripts.figures_page"),
    "python -m pytest": tested,
    "make": made,
    "pip": installed,
    ".": entered,
}
FILES = ("mkdir", "cat", "echo")  # make files for the commands below them: a shell does


def way_of(line: Command) -> tuple[str, list[str]]:
    """The prefix that a command begins with, and its other words; what stands before it is for the environment."""
    words = line.words
    while re.fullmatch(r"\w+=.*", words[0]):
        words.pop(0)
    length = 3 if words[:2] == ["python", "-m"] else 1
    return " ".join(words[:length]), words[length:]


def give(line: Command, place: Place) -> None:
    """Run it. Raises KeyError for a command that nothing here knows how to run."""
    prefix, words = way_of(line)
    if prefix in FILES:
        return shell(line.line, place)
    for word in line.words:
        if word.startswith("PYTHONPATH="):
            place.paths.append(place.folder / word.partition("=")[2])
    for path in place.paths:
        if str(path) not in sys.path:
            sys.path.insert(0, str(path))
    words = [GIVEN.get(word, word.replace("=...", "=given")) for word in words]
    WAYS[prefix](words, place)
