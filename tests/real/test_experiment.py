"""A whole experiment on real pretrained checkpoints: one story teller is distilled into another."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest
from checkpoints import PIECES, STORIES, STUDENT, TEACHER, needs_checkpoints

from scripts.convert_llama2c import convert
from scripts.run import main
from spiritsafe.attack import Example
from spiritsafe.measures.nll import nll
from spiritsafe.models import load
from spiritsafe.task import Split
from spiritsafe.tasks.stories import Stories

pytestmark = needs_checkpoints


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("real")
    return {
        "teacher": convert(TEACHER, PIECES, root / "teacher"),
        "student": convert(STUDENT, PIECES, root / "student"),
        "runs": root / "runs",
    }


@pytest.fixture(scope="module")
def experiment(folders) -> Path:
    """The command's output folder."""
    overrides = [
        "teacher=local",
        f"teacher.path={folders['teacher']}",
        "student=local",
        f"student.path={folders['student']}",
        "task=[stories]",
        f"task.stories.path={STORIES}",
        "+attack.source.weights={programs: 0, recipes: 0, stories: 1}",
        "interface.sampling.temperature=1.0",
        "budget.checkpoints=[64,1024]",
        "recipe.steps=96",
        "recipe.batch_size=32",
        "recipe.learning_rate=5e-4",
        "measure.items=60",
        "measure.seeds=1",
        "measure.resamples=200",
        "measure.controls=[]",
        "workers=2",
        f"paths.runs={folders['runs']}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["spiritsafe", *overrides])
        main()
    [folder] = (folder for folder in folders["runs"].iterdir() if folder.name != "store")
    return folder


def test_every_student_learns_what_it_was_served(folders, experiment):
    manifests = [json.loads(file.read_text()) for file in (folders["runs"] / "store/distill").glob("*/manifest.json")]
    arms = {(manifest["config"]["arm"]["name"], manifest["config"]["arm"]["exchanges"]) for manifest in manifests}
    assert arms == {("format", 0), ("attacked", 64), ("attacked", 1024)}
    for manifest in manifests:
        first, last = manifest["notes"]["loss"]  # nats a token
        assert last < first - 0.05, manifest["config"]


def test_the_report_says_what_it_can_without_a_safety_task(experiment):
    rows = json.loads((experiment / "headline.json").read_text())
    assert [(row["defense"], row["exchanges"]) for row in rows] == [("none", 64), ("none", 1024)]
    assert all(row["ST"] is None and row["GAP"] is None and row["CT"] is not None for row in rows)
    assert (experiment / "report.html").is_file()
    items = pd.read_parquet(experiment / "items.parquet")
    assert set(items["arm"]) == {"teacher", "defended", "bare", "format", "attacked"}


def test_the_copy_comes_nearer_to_its_teacher_on_held_out_stories(folders, experiment):
    """Before: 1.897 nats on whole stories, agreement 0.617 (test_llama2c). Here on continuations of held-out beginnings
    that the teacher wrote, which a copy should find likelier than the original student does."""
    items = pd.read_parquet(experiment / "items.parquet")
    served = items[items["arm"] == "teacher"].set_index("item")["replies"]
    stories = Stories(str(STORIES)).items(Split.TEST, len(served))
    rows = [Example(story.messages, json.loads(served[story.id])[0]) for story in stories]
    before = nll(load(str(folders["student"])), rows)[0]
    [copy] = (
        folder
        for folder in (folders["runs"] / "store/distill").iterdir()
        if json.loads((folder / "manifest.json").read_text())["config"]["arm"]
        == {"name": "attacked", "stack": "none", "exchanges": 1024, "seed": 0}
    )
    after = nll(load(str(copy)), rows)[0]
    print(f"nats per token of the teacher's held-out replies: {before:.3f} before, {after:.3f} after")
    assert after < before
