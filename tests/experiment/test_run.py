"""A whole experiment on tiny models: what it leaves, and that it is not done twice."""

import json

import pandas as pd
import pytest
from command import command, laboratory

from spiritsafe.experiment.keys import Arm
from spiritsafe.store import transcript

COLUMNS = ("CT", "ST", "GAP", "UC", "AC")


def stages(store):
    """The complete stages, with the time they were finished."""
    return {
        folder.relative_to(store).as_posix(): (folder / "manifest.json").stat().st_mtime_ns
        for stage in ("harvest", "distill", "examine", "report")
        for folder in (store / stage).iterdir()
    }


def outputs(runs):
    return sorted(folder for folder in runs.iterdir() if folder.name != "store")


def transcript_of(lab, stack="none"):
    return (lab.harvested(stack).folder / "transcript.parquet").read_bytes()


def test_the_headline_has_a_row_for_every_defense_and_checkpoint(finished):
    rows = json.loads((outputs(finished.runs)[0] / "headline.json").read_text())
    assert [(row["defense"], row["exchanges"]) for row in rows] == [
        (defense, exchanges) for defense in ("none", "answer_only") for exchanges in (8, 16)
    ]
    for column in (row[name] for row in rows for name in COLUMNS):
        assert column is None or {"low", "high"} <= column.keys()
    assert all(row["UC"]["value"] is not None for row in rows)


def test_the_page_the_figures_and_the_items_are_there(finished):
    folder = outputs(finished.runs)[0]
    assert "<html" in (folder / "report.html").read_text()
    assert {"budget.svg", "budget.png"} <= {file.name for file in (folder / "figures").iterdir()}
    items = pd.read_parquet(folder / "items.parquet")
    assert set(items["arm"]) == {"teacher", "defended", "bare", "format", "attacked", "oracle"}
    assert (items.groupby(["arm", "defense", "exchanges", "seed", "task"]).size() == 4).all()


def test_each_exchange_is_in_the_transcript_and_in_the_spend(finished):
    for folder in (finished.store / "harvest").iterdir():
        exchanges = transcript.read(folder / "transcript.parquet")
        assert len(exchanges) == 16
        spend = json.loads((folder / "manifest.json").read_text())["notes"]["spend"]
        assert [row["exchanges"] for row in spend] == [8, 16]
        for row in spend:
            tokens = [exchange.reply.usage.completion_tokens for exchange in exchanges[: row["exchanges"]]]
            assert row["completion_tokens"] == sum(tokens)


def test_the_same_command_does_nothing_and_says_the_same(finished, capsys):
    def never(*arguments, **options):
        raise AssertionError("a process was started for students that are there")

    before = stages(finished.store)
    assert command(*finished.overrides, pool=never) == 0
    assert stages(finished.store) == before
    assert "The page to read" in (said := capsys.readouterr().out)
    assert "What to try next" in said


def test_a_smaller_budget_is_a_prefix(finished):
    lab = laboratory(*finished.overrides)
    fewer, more = (lab.examples(Arm("attacked", "none", size)) for size in (8, 16))
    assert 0 < len(fewer) < len(more)
    assert more[: len(fewer)] == fewer


def test_the_batch_size_changes_no_transcript(finished, tmp_path):
    other = laboratory(*finished.small, f"paths.runs={tmp_path}", "sampler_batch_size=3")
    mine = laboratory(*finished.overrides)
    assert other.harvest_key("none") == mine.harvest_key("none")
    assert transcript_of(other) == transcript_of(mine)


def test_a_defense_that_does_nothing_changes_no_transcript(finished):
    mine = "+defense.mine._target_=spiritsafe.defense.Defense"
    lab = laboratory(*finished.overrides, mine)
    assert {stack: list(defenses) for stack, defenses in lab.config["stacks"].items()} == {
        "none": [],
        "mine": ["mine"],
        "answer_only": ["answer_only"],
    }
    assert lab.harvest_key("mine") != lab.harvest_key("none")
    assert transcript_of(lab, "mine") == transcript_of(lab)


def test_hidden_reasoning_changes_what_is_shown_and_not_what_was_sampled(finished):
    lab = laboratory(*finished.overrides)
    shown, hidden = (
        transcript.read(lab.harvested(stack).folder / "transcript.parquet") for stack in ("none", "answer_only")
    )
    for one, other in zip(shown, hidden, strict=True):
        assert one.request.id == other.request.id or one.turn > 0
        assert other.reply.reasoning is None
    assert [one.reply.usage for one in shown[:4]] == [other.reply.usage for other in hidden[:4]]


@pytest.mark.parametrize(
    ("override", "recomputed"),
    [
        ("device", set()),
        ("measure.resamples=60", set()),
        ("measure.items=3", {"examine"}),
        ("recipe.steps=3", {"distill", "examine"}),
        ("harvest.window=8", {"harvest", "distill", "examine"}),
    ],
)
def test_a_change_reaches_what_depends_on_it_and_no_more(finished, override, recomputed):
    same = ["teacher.device=cpu", "student.device=cpu", "sampler_batch_size=7", "workers=1", "title=x", "next=y"]
    overrides = [f"paths.store={finished.store}", *same] if override == "device" else [override]
    before, after = keys(laboratory(*finished.overrides)), keys(laboratory(*finished.overrides, *overrides))
    assert {stage for stage in before if before[stage] != after[stage]} == recomputed


def keys(lab):
    arm = Arm("attacked", "none", 8)
    return {"harvest": lab.harvest_key("none"), "distill": lab.distill_key(arm), "examine": lab.examine_key(arm)}


def test_a_defenses_option_reaches_its_own_stack_only(finished):
    stacks = [*finished.overrides, "defense=[exchange_limit]"]
    before, after = laboratory(*stacks), laboratory(*stacks, "defense.exchange_limit.exchanges=5")
    assert after.config["stacks"]["exchange_limit"]["exchange_limit"]["exchanges"] == 5
    changed = [stack for stack in before.config["stacks"] if before.harvest_key(stack) != after.harvest_key(stack)]
    assert changed == ["exchange_limit"]
    defended = [Arm("defended", stack) for stack in before.config["stacks"]]
    assert [arm.stack for arm in defended if before.examine_key(arm) != after.examine_key(arm)] == ["exchange_limit"]
    students = [Arm("attacked", stack, 8) for stack in before.config["stacks"]] + [Arm("oracle", "", 8), Arm("format")]
    assert [arm.stack for arm in students if before.distill_key(arm) != after.distill_key(arm)] == ["exchange_limit"]


def test_controls_learn_from_text_where_the_attack_learns_from_log_probabilities(finished, tmp_path):
    overrides = [*finished.small, f"paths.runs={tmp_path}", "interface=logprobs", "objective=topk_kl"]
    assert command(*overrides) == 0
    lab = laboratory(*overrides)
    learned = {name: lab.objective_of(Arm(name))["_target_"] for name in ("attacked", "format", "oracle")}
    assert learned == {"attacked": "student.topk_kl.TopKKL", "format": "student.sft.SFT", "oracle": "student.sft.SFT"}
