"""A whole experiment on real pretrained checkpoints: one story teller is distilled into another."""

import json
import sys
from pathlib import Path

import pandas as pd
import pytest

from scripts.convert_llama2c import convert
from scripts.run import main

SHARED = Path(__file__).parents[3] / "shared"
TEACHER = SHARED / "weights/stories260k/stories260K.bin"
STUDENT = SHARED / "weights/llama2xs_281k/model.bin"
PIECES = SHARED / "weights/stories260k/tok512.bin"
STORIES = SHARED / "data/tinystories_sample/tinystories_sample.txt"

pytestmark = pytest.mark.skipif(
    not all(file.is_file() for file in (TEACHER, STUDENT, PIECES, STORIES)),
    reason="the llama2.c checkpoints and stories do not lie in ../shared",
)


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
        "budget.checkpoints=[64,256]",
        "recipe.steps=40",
        "recipe.batch_size=16",
        "recipe.learning_rate=1e-3",
        "measure.items=20",
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
    assert arms == {("format", 0), ("attacked", 64), ("attacked", 256)}
    for manifest in manifests:
        first, last = manifest["notes"]["loss"]  # nats a token
        assert last < first - 0.2, manifest["config"]


def test_the_report_says_what_it_can_without_a_safety_task(experiment):
    rows = json.loads((experiment / "headline.json").read_text())
    assert [(row["defense"], row["exchanges"]) for row in rows] == [("none", 64), ("none", 256)]
    assert all(row["ST"] is None and row["GAP"] is None and row["CT"] is not None for row in rows)
    assert (experiment / "report.html").is_file()
    items = pd.read_parquet(experiment / "items.parquet")
    assert set(items["arm"]) == {"teacher", "defended", "bare", "format", "attacked"}
