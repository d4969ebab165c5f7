"""Every named attack, from its YAML to a trained student: a few dozen exchanges of the reference teacher.

An attack's first comment names the options it is meant for or needs, so that what it says is what is run here.
"""

import re
from pathlib import Path

import pytest
from command import laboratory

from scripts.described import ROOT, comment
from spiritsafe.errors import UserError
from spiritsafe.experiment.check import check
from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.store import transcript

ATTACKS = (ROOT / "configs" / "attack").glob("*.yaml")
FILES = {path.stem: path for path in ATTACKS if "\nrungs:" not in path.read_text()}  # not a set of several
OPTION = r"(?:interface|objective|compare|measure)[\w.]*=(?:\[.*?\]|\w+)"
NEEDED = {name: re.findall(OPTION, comment(path).partition("Needs ")[2]) for name, path in FILES.items()}
MEANT = {name: re.findall(OPTION, comment(path).partition("Needs ")[0]) for name, path in FILES.items()}
SMALLER = {  # as befits a few dozen exchanges
    "active": ["attack.source.round=8"],
    "probe": ["attack.elicitor.probes=6"],
    "evolved": ["attack.source.seeds=16"],
}
FEWER = {
    "Denoise": {"steps": 20, "pairs": 500},
    "GradientWeights": {"count": 8},
    "Neutralise": {"max_tokens": 8},
    "Paraphrase": {"max_tokens": 8},
    "RecoverProbabilities": {"table": 500},
    "StudentNegatives": {"max_tokens": 8},
    "TraceInversion": {"count": 8, "max_tokens": 8},
}
SEEN = ("answer_only", "reverse_sigmoid")  # the defenses that these few exchanges show the effect of


def lab_of(name: str, tiny_world, folder: Path, *overrides: str) -> Lab:
    smaller = [option for start, options in SMALLER.items() if name.startswith(start) for option in options]
    lab = laboratory(
        f"attack={name}",
        f"student.path={tiny_world.student}",
        f"paths.runs={folder}",
        "harvest.window=4",
        "calibration.items=2",
        "measure.public=8",
        "recipe.steps=2",
        "recipe.batch_size=4",
        *smaller,
        *overrides,
    )
    for refiner in lab.config["attack"].get("refiners", ()):
        for part in (refiner, refiner.get("paraphrase", {})):
            part |= FEWER.get(part.get("_target_", "").rpartition(".")[2], {})
    return lab


@pytest.mark.parametrize("name", sorted(name for name, needed in NEEDED.items() if needed))
def test_an_attack_whose_needs_are_not_met_is_refused_before_anything_runs(name, tiny_world, tmp_path):
    with pytest.raises(UserError, match=r"(set|add) (interface|measure)"):
        check(lab_of(name, tiny_world, tmp_path))
    assert not list((tmp_path / "store").glob("*/*/manifest.json"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_an_attack_runs_to_its_student_and_a_smaller_budget_is_a_prefix(name, tiny_world, tmp_path):
    options = [*MEANT[name], *NEEDED[name]]
    lab = lab_of(name, tiny_world, tmp_path, "budget.checkpoints=[12,24]", *options)
    half = lab_of(name, tiny_world, tmp_path, "budget.checkpoints=[12]", "sampler_batch_size=5", *options)
    check(lab)
    stack = next((stack for stack in SEEN if stack in lab.config["stacks"]), "none")
    exchanges, fewer = (transcript.read(each.harvested(stack).folder / "transcript.parquet") for each in (lab, half))
    assert len(exchanges) == 24
    assert fewer == exchanges[:12]
    spent = lab.harvested(stack).manifest.notes["spend"][-1]
    assert spent["completion_tokens"] == sum(each.reply.usage.completion_tokens for each in exchanges)

    arm = Arm("attacked", stack, 12)
    rows = lab.examples(arm)
    assert rows == half.examples(arm)
    assert bool(rows) == (name != "teacher_judge")  # this teacher cannot judge, and what is not judged right goes
    assert half.distilled(arm) is not None or not rows


@pytest.mark.parametrize(
    ("name", "override", "said"),
    [
        ("adjacent", "attack.source.distance=1", "set measure.controls=[]"),
        ("topic_bandit", "+attack.source.levels=true", "set measure.controls=[]"),
        ("max_of_k", "attack.source.source._target_=attacks.nonsense.Nonsense", "set measure.controls=[]"),
        ("benign_mixing", "attack.source.source._target_=attacks.nonsense.Nonsense", "set measure.controls=[]"),
        ("targeted", "+attack.source.colour=1", "unexpected keyword argument 'colour'"),
    ],
)
def test_what_a_source_rules_out_is_told_before_anything_runs(name, override, said, tiny_world, tmp_path):
    with pytest.raises(UserError, match=re.escape(said)):
        check(lab_of(name, tiny_world, tmp_path, override))
