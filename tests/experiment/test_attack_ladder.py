"""Several attackers on one store: the worst case of each defense, and nothing done twice."""

import json

import pytest
from command import command


@pytest.fixture(scope="module")
def climbed(small, tmp_path_factory):
    runs = tmp_path_factory.mktemp("ladder")
    overrides = [*small, "attack=ladder", "budget.checkpoints=[16]", f"paths.runs={runs}"]
    assert command(*overrides) == 0
    return overrides, runs


def test_every_rung_has_its_page_and_the_worst_case_is_told(climbed, capsys):
    _, runs = climbed
    [folder] = runs.glob("2*")
    names = ["naive", "hard_label", "adaptive", "strongest"]
    assert all((folder / name / "report.html").exists() for name in names)
    rows = json.loads((folder / "ladder.json").read_text())
    assert [row["defense"] for row in rows] == ["none", "answer_only"]
    for row in rows:
        assert list(row["rungs"]) == names
        assert row["worst"] in names
        assert all(rung["completion_tokens"] > 0 for rung in row["rungs"].values())
    assert "CT*" in (folder / "ladder.md").read_text()


def test_rungs_that_ask_alike_share_a_campaign_and_a_second_run_does_nothing(climbed):
    overrides, runs = climbed
    stages = {path: path.stat().st_mtime_ns for path in (runs / "store").glob("*/*/manifest.json")}
    harvests = [path for path in stages if path.parts[-3] == "harvest"]
    assert len(harvests) == 2 * 2  # two stacks; two ways of asking among four rungs
    assert command(*overrides) == 0
    assert {path: path.stat().st_mtime_ns for path in (runs / "store").glob("*/*/manifest.json")} == stages
