"""Parts of somebody else's, used from outside the checkout: a class, a folder of configs, an installed package."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command import command, laboratory

from scripts.new_defense import main as new_defense
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request
from spiritsafe.experiment.keys import Arm
from spiritsafe.store import transcript

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests" / "plugin"
MINE = '''"""Says nothing."""

from dataclasses import dataclass, replace

from spiritsafe.defense import Defense


@dataclass
class Mine(Defense):
    said: str = "nothing"

    def rewrite_reply(self, request, reply):
        return replace(reply.without_reasoning(), text=self.said, token_ids=(), logprobs=None)
'''


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    """A folder with one module and, in ``configs``, its config."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "my_package.py").write_text(MINE)
    (folder / "configs" / "defense").mkdir(parents=True)
    (folder / "configs" / "defense" / "mine.yaml").write_text("mine: {_target_: my_package.Mine}\n")
    return folder


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """Where pip put the example package; no network is asked for anything."""
    folder = tmp_path_factory.mktemp("installed")
    shutil.copytree(PLUGIN, folder / "source")  # a build leaves files beside the source
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *offline, "--target", str(folder / "site")]
    subprocess.run([*pip, str(folder / "source")], check=True, timeout=120)
    return folder / "site"


@pytest.fixture(scope="module")
def shared(small, finished, tmp_path_factory) -> list[str]:
    """Budgets of a tiny run, and a store in which the undefended campaign is done."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(finished.store, folder / "store")
    return [*small, "compare=[]", "measure.controls=[]", "workers=2", f"paths.runs={folder}"]


def outside(folder: Path, path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command in another folder, with ``path`` to import from before all that is installed."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])}
    asked = [sys.executable, "-m", "scripts.run", *arguments]
    return subprocess.run(asked, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


def reported(finished: subprocess.CompletedProcess[str]) -> str:
    """What the page says that a run ended with."""
    assert finished.returncode == 0, finished.stderr
    page = finished.stdout.partition("The page to read and to send: ")[2].splitlines()[0]
    return Path(page).read_text(encoding="utf-8")


def store(shared: list[str]) -> Path:
    return Path(shared[-1].partition("=")[2]) / "store"


def test_a_class_that_can_be_imported_and_then_a_folder_of_configs(shared, package, tmp_path, monkeypatch):
    page = reported(outside(tmp_path, package, *shared, "+defense.mine._target_=my_package.Mine"))
    assert "mine" in page
    stages = set(store(shared).glob("*/*/manifest.json"))
    texts = [
        {exchange.reply.text for exchange in transcript.read(table)}
        for table in store(shared).glob("harvest/*/transcript.parquet")
    ]
    assert {"nothing"} in texts
    shutil.copytree(package / "configs", tmp_path / "my_configs")
    page = reported(outside(tmp_path, package, "--config-dir", "./my_configs", *shared, "compare=[mine]"))
    assert "mine" in page
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(package)
    assert command("--config-dir", "./my_configs", *shared, "defense=[mine]") == 0
    again = set(store(shared).glob("*/*/manifest.json")) - stages
    assert {path.parent.parent.name for path in again} <= {"report"}, "the same class and options: nothing is redone"


def test_an_installed_package_with_a_search_path(shared, installed, tmp_path):
    page = reported(outside(tmp_path, installed, *shared, "compare=[first_steps]", "attack=long_reasoning"))
    assert "first_steps" in page
    assert "nothing was left to learn from after cleaning" in page, "untrained models show no reasoning"
    wrong = outside(tmp_path, installed, *shared, "compare=[first_stops]", "attack=long_reasoning")
    assert wrong.returncode == 2
    assert wrong.stderr.startswith("error: cannot compare with 'first_stops'")
    assert ", first_steps, " in wrong.stderr
    assert "Traceback" not in wrong.stderr


@pytest.mark.parametrize(
    ("overrides", "status", "said"),
    [
        (["compare=[mein]"], 2, ", mine, "),
        (["defense=[mein]"], 1, "Could not load 'defense/mein'"),
        (["+defense.mine._target_=my_package.Mein"], 2, "Are you sure that 'Mein' is importable"),
        (["+defense.mine._target_=mine_package.Mine"], 2, "PYTHONPATH"),
        (["defense=[mine]", "+defense.mine.sayd=1"], 2, "unexpected keyword argument 'sayd'"),
        (["compare=[bare]"], 2, "its config begins with its name"),
        (["defense=[bare]"], 2, "its config begins with its name"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_name_gives_one_message(overrides, status, said, shared, package, tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(package)
    configs = shutil.copytree(package / "configs", tmp_path / "configs")
    (configs / "defense" / "bare.yaml").write_text("_target_: my_package.Mine\nsaid: nothing\n")
    assert command("--config-dir", str(configs), *shared, *overrides) == status
    message = capsys.readouterr().err
    assert said in message
    assert "Traceback" not in message


def test_a_name_that_is_taken_is_told(shared, tmp_path, capsys):
    (tmp_path / "defense").mkdir()
    (tmp_path / "defense" / "kgw.yaml").write_text("kgw: {_target_: my_package.Mine}\n")
    assert command("--config-dir", str(tmp_path), *shared, "compare=[kgw]") == 2
    message = capsys.readouterr().err
    assert message.startswith("error: there are two configs defense/kgw")
    assert str(tmp_path) in message


def test_a_new_defense_runs_as_it_was_written(shared, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    new_defense(["louder_still"])
    monkeypatch.syspath_prepend(tmp_path / "louder_still")
    chosen = ["defense=[louder_still]", "defense.louder_still.strength=1"]
    assert command("--config-dir", "louder_still/configs", *shared, *chosen) == 0
    assert "louder_still" in capsys.readouterr().out.partition("What was transferred")[2]


def test_a_class_is_compared_in_stacks_too(shared, package, monkeypatch):
    monkeypatch.syspath_prepend(package)
    given = "+defense.mine._target_=my_package.Mine"
    stacks = laboratory(*shared, given, "compare=[mine,mine+answer_only,answer_only+mine]").config["stacks"]
    assert {stack: list(parts) for stack, parts in stacks.items()} == {
        "none": [],
        "mine": ["mine"],
        "mine+answer_only": ["mine", "answer_only"],
        "answer_only+mine": ["answer_only", "mine"],
    }


def test_an_edited_class_is_another_defense(shared, tmp_path, monkeypatch):
    (tmp_path / "my_edited.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)

    def keys():
        lab = laboratory(*shared, "+defense.mine._target_=my_edited.Mine")
        students = [Arm("attacked", stack, 8) for stack in ("none", "mine")]
        undefended, mine = (
            (lab.harvest_key(arm.stack), lab.distill_key(arm), lab.examine_key(arm)) for arm in students
        )
        return undefended, mine

    before = keys()
    (tmp_path / "my_edited.py").write_text(MINE.replace("Says nothing", "Says little"))
    assert keys() == before, "a docstring does nothing"
    (tmp_path / "my_edited.py").write_text(MINE.replace("=self.said", "=self.said.upper()"))
    after = keys()
    assert after[0] == before[0]
    assert not set(after[1]) & set(before[1])


def test_the_example_does_what_it_says(monkeypatch):
    monkeypatch.syspath_prepend(PLUGIN / "src")
    from spiritsafe_plugin_example.first_steps import FirstSteps
    from spiritsafe_plugin_example.long_reasoning import LongReasoning

    request = Request("r", (Message("user", "6 x 7?"),))
    reply = Reply(Outcome.ANSWERED, "42", " one two . three four . five six . ")
    shown = {share: FirstSteps(share).rewrite_reply(request, reply).reasoning for share in (0, 0.5, 1)}
    assert shown == {0: None, 0.5: " one two . three four . ", 1: reply.reasoning}
    exchanges = [Exchange(request, each, "a", 0.0) for each in (reply, Reply(Outcome.ANSWERED, "42", " one . "))]
    assert LongReasoning(words=9).clean(exchanges) == exchanges[:1]
