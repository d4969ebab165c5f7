"""Whole experiments on published data sets, with untrained models that read bytes."""

from pathlib import Path

import pandas as pd
import pytest
from command import command
from reads_bytes import write_bytes_model

from spiritsafe.exchange import Outcome, Reply, Sampling
from spiritsafe.experiment.examine import examine
from spiritsafe.task import Split
from spiritsafe.tasks.bfcl import BFCL
from spiritsafe.tasks.humaneval import HumanEval
from spiritsafe.tasks.mbpp import MBPP

DATA = Path(__file__).parents[2].parent / "shared" / "data"
FOLDERS = {"humaneval": DATA / "humaneval", "mbpp": DATA / "mbpp_sanitized", "bfcl": DATA / "bfcl_v4"}
pytestmark = pytest.mark.skipif(
    not all(folder.is_dir() for folder in FOLDERS.values()),
    reason="humaneval, mbpp_sanitized and bfcl_v4 are not beside this checkout (../shared/data)",
)


def test_an_experiment_on_code_and_calls(small, tmp_path):
    overrides = [
        "task=[mbpp,humaneval,bfcl]",
        *(f"task.{name}.path={folder}" for name, folder in FOLDERS.items()),
        f"teacher.path={write_bytes_model(tmp_path / 'teacher')}",
        f"student.path={write_bytes_model(tmp_path / 'student', seed=1)}",
        "+attack.source.weights={programs: 0, recipes: 0, mbpp: 1, bfcl_simple_python: 1}",
        "measure.targeted=[mbpp,humaneval]",
        "budget.checkpoints=[8]",
        "measure.items=3",
        f"paths.runs={tmp_path / 'runs'}",
    ]
    assert command(*small, *overrides) == 0
    [folder] = (folder for folder in (tmp_path / "runs").iterdir() if folder.name != "store")
    items = pd.read_parquet(folder / "items.parquet")
    assert {"teacher", "defended", "bare", "format", "attacked"} <= set(items["arm"])
    counted = items.groupby(["arm", "task"])["item"].nunique().unstack()
    assert set(counted.columns) == {"mbpp", "humaneval", "bfcl_simple_python"}
    assert (counted == 3).all(axis=None)
    assert not items[["strict", "flexible", "forced"]].any(axis=None)


def test_programs_and_calls_are_run_in_an_examination():
    tasks = [MBPP(str(FOLDERS["mbpp"])), HumanEval(str(FOLDERS["humaneval"])), BFCL(str(FOLDERS["bfcl"]))]
    known = {item.messages: item for task in tasks for item in task.items(Split.TEST, 4)}
    order = {messages: place for place, messages in enumerate(known)}

    def respond(requests):
        """Right, right but cut off before the end of its block, another's answer, refused."""
        replies = []
        for request in requests:
            right, place = known[request.messages].turns[0].content, order[request.messages] % 4
            wrong = list(known.values())[(order[request.messages] + 1) % len(known)].turns[0].content
            text = (right, right[:-3] if right.startswith("```") else f"I call {right}", wrong, "")[place]
            replies.append(Reply(Outcome.REFUSED if place == 3 else Outcome.ANSWERED, text))
        return replies

    def force(requests):
        return [Reply(Outcome.ANSWERED, request.prefill + " and so on") for request in requests]

    rows = pd.DataFrame(examine(tasks, 4, respond, force, Sampling()))
    columns = ["strict", "flexible", "forced", "extracted"]
    for task, found in rows.groupby("task", sort=False):
        called = task.startswith("bfcl")
        assert found[columns].to_numpy().tolist() == [
            [True, True, True, True],
            [False, True, True, False],
            [False, False, False, called],
            [False, False, False, False],
        ], task
