"""One defense under a protocol, from its campaigns to its card."""

import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from command import Here
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from scripts.benchmark import main
from scripts.parts import PARTS
from scripts.run import resolve
from spiritsafe.benchmark.card import Flag, read
from spiritsafe.benchmark.flags import flags
from spiritsafe.benchmark.measure import measured
from spiritsafe.benchmark.protocol import fixed
from spiritsafe.benchmark.tuning import chosen, with_options
from spiritsafe.errors import UserError
from spiritsafe.experiment import run
from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import rungs
from spiritsafe.store.store import Store

PROTOCOLS = ("lab-v1-quick", "lab-v1")


def benchmark(*overrides: str) -> int:
    with patch.object(sys, "argv", ["benchmark", *overrides]), patch.object(run, "ProcessPoolExecutor", Here):
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0


def resolved(*overrides: str) -> dict:
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("benchmark", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return resolve(config)


@pytest.fixture(scope="module")
def overrides(small, tmp_path_factory):
    runs = tmp_path_factory.mktemp("benchmark")
    mine = [each for each in small if not each.startswith("compare")]
    return [*mine, "defense=[answer_only]", f"paths.runs={runs}", f"cards={runs / 'cards'}"]


@pytest.fixture(scope="module")
def card(overrides):
    assert benchmark(*overrides) == 0
    runs = Path(overrides[-2].partition("=")[2])
    return read(runs / "cards" / "lab-v1-quick" / "answer_only.json")


def test_a_card_says_what_every_attack_got(card):
    assert card.defense.id == "answer_only"
    assert card.defense.paper == "2603.07835"
    assert card.defense.family == "text"
    assert card.defense.control
    assert set(card.protocol.attacks) == {"naive", "adaptive"}
    (point,) = card.points
    for checkpoint in (*point.curve, *card.undefended.curve):
        each = {name: attack.CT for name, attack in checkpoint.attacks.items()}
        assert set(each) == set(card.protocol.attacks)
        assert checkpoint.CT.value == max(column.value for column in each.values())
        assert checkpoint.ST == checkpoint.attacks[checkpoint.worst].ST
    assert card.score == point.DE
    assert {arm.arm for arm in card.controls} == {"teacher", "bare", "format", "oracle", "self", "random"}
    assert {key.partition(":")[0] for key in card.keys} >= {"controls", "naive none", "adaptive answer_only"}


def test_a_card_of_a_changed_protocol_is_not_admissible(card):
    assert Flag.CHANGED_PROTOCOL in card.flags
    assert "budget.checkpoints" in card.flags[Flag.CHANGED_PROTOCOL]
    assert {Flag.QUICK, Flag.SINGLE_SEED} <= card.flags.keys()
    assert not card.admissible


def test_a_second_benchmark_builds_nothing(card, overrides, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a student was trained again")

    monkeypatch.setattr(Lab, "_trained", refuse)
    assert benchmark(*overrides) == 0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["defense=[]"], "one defense"),
        (["compare=[summary]"], "without compare"),
        (["attack=targeted"], "worst of several"),
    ],
)
def test_what_is_no_benchmark_is_told(overrides, capsys, more, said):
    assert benchmark(*overrides, *more) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_describes_its_attacks_and_is_its_own(name):
    own = resolved(f"protocol={name}")
    told = own["protocol"]
    assert told["name"] == name
    assert told["attacks"].keys() == own["attack"]["rungs"].keys()
    assert set(told["adaptive"]) <= own["attack"]["rungs"].keys()
    assert told["headline_point"] in own["losses"]
    defended = resolved(f"protocol={name}", "defense=[antidistillation]", "workers=1", "paths.runs=elsewhere")
    assert fixed(defended, own).changed == ()
    other = resolved(f"protocol={name}", "defense=[antidistillation]", "measure.seeds=4")
    assert fixed(other, own).changed == ("measure.seeds",)
    assert fixed(other, own).digest != fixed(own, own).digest


def raised(card, *changes: str, point=None) -> dict:
    own, config = resolved(), resolved(*changes)
    protocol = card.protocol.model_copy(update={"seeds": config["measure"]["seeds"]})
    return flags([point or card.points[0]], config, protocol, fixed(config, own), {"commit": "0" * 40})


def test_flags_are_raised_for_their_reason_alone(card):
    free = card.points[0].model_copy(update={"UC": card.points[0].UC.model_copy(update={"low": 0.0})})
    assert set(raised(card, point=free)) == {Flag.QUICK}
    passive = raised(card, "~attack.rungs.adaptive", point=free)
    assert {Flag.PASSIVE_ONLY, Flag.CHANGED_PROTOCOL} <= passive.keys()
    private = raised(card, "+attack.rungs.mine={cleaners: [{_target_: elsewhere.Secret}]}", point=free)
    assert "elsewhere.Secret" in private[Flag.PRIVATE_ATTACK]
    assert Flag.SINGLE_SEED in raised(card, "measure.seeds=1", point=free)


@pytest.mark.parametrize(
    ("asked", "low", "flagged"), [(None, 0.4, True), (None, 0.0, False), (0.05, 4.9, False), (0.05, 5.1, True)]
)
def test_utility_is_uncalibrated_where_honest_users_clearly_pay_more_than_asked(card, asked, low, flagged):
    column = card.points[0].UC.model_copy(update={"value": 8.0, "low": low, "high": 9.0})
    point = card.points[0].model_copy(update={"UC": column, "utility_point": asked})
    assert (Flag.UNCALIBRATED_UTILITY in raised(card, point=point)) is flagged


def test_an_attack_tunes_itself_on_the_validation_split(small, tmp_path):
    mine = [each for each in small if not each.startswith("compare")]
    lab = Lab(rungs(resolved(*mine, f"paths.runs={tmp_path}"))["naive"], PARTS, Store(tmp_path))
    seen: list[Lab] = []

    def train(labs, students):
        seen.extend(labs.values())
        for name, each in labs.items():
            for arm in students[name]:
                each.harvested("none")
                each.examined_student(arm)

    search = {"method": "grid", "items": 3, "trials": None, "space": {"recipe.steps": [1, 2]}}
    found = chosen({"naive none": lab}, search, train)["naive none"]
    assert [options for options, _ in found.tried] == [{"recipe.steps": 1}, {"recipe.steps": 2}]
    assert found.options == max(found.tried, key=lambda each: each[1])[0]
    for each in seen:
        arm = Arm("attacked", "none", 16)
        rows = each.items(each.examined_student(arm))
        assert {row["item"].split("-")[2] for row in rows} == {"calibration"}
        assert each.harvest_key("none") == lab.harvest_key("none")  # billed once
    with pytest.raises(UserError, match="ask the teacher anew"):
        chosen({"naive none": lab}, {**search, "space": {"harvest.window": [8]}}, train)
    assert with_options(lab, {"recipe.steps": 7}).config["recipe"]["steps"] == 7


def test_optuna_proposes_from_the_same_values(small, tmp_path, monkeypatch):
    pytest.importorskip("optuna", reason="the search extra is not installed")
    from spiritsafe.benchmark import tuning

    monkeypatch.setattr(tuning, "_accuracy", lambda lab: float(lab.config["recipe"]["steps"]))
    mine = [each for each in small if not each.startswith("compare")]
    lab = Lab(rungs(resolved(*mine))["naive"], PARTS, Store(tmp_path))
    search = {"method": "optuna", "items": 3, "trials": 6, "space": {"recipe.steps": [1, 2, 3]}}
    first, again = (chosen({"naive none": lab}, search, lambda labs, students: None, 3)["naive none"] for _ in "ab")
    assert first == again
    assert len(first.tried) == 6
    assert {options["recipe.steps"] for options, _ in first.tried} <= {1, 2, 3}
    assert first.options["recipe.steps"] == max(score for _, score in first.tried)


def test_measured_trains_controls_as_the_protocol_says(card, overrides, tmp_path):
    config = resolved(*overrides)
    asked: list[list[str]] = []

    def stop(labs, students):
        asked.append([arm.name for arm in students["controls"]])
        assert {arm.name for name in labs if name != "controls" for arm in students[name]} == {"attacked"}
        raise InterruptedError

    with pytest.raises(InterruptedError):
        measured(config, PARTS, Store(tmp_path), stop, lambda labs: None)
    assert {"bare", "format", "oracle", "self", "random"} == set(asked[0])
