"""The command of figures on tiny models: what is run is drawn, a second time nothing is run, a failure is listed."""

import json
import sys
from unittest.mock import patch

import pytest
import yaml
from command import Here

from scripts import figures
from spiritsafe.experiment import run
from spiritsafe.store.store import Store

SPEC = {
    "title": "Tiny",
    "question": "Does it run?",
    "runs": {"plain": {"overrides": ["compare=[answer_only]"], "columns": {"kind": "plain"}}, "again": {}},
    "lab": {"minutes": 1},
    "full": {"overrides": ["teacher.path=<teacher>"], "needs": {"teacher": "a model"}, "gpu_hours": 2},
    "draw": {
        "x": {"column": "defense", "label": "defense"},
        "y": [{"column": "A_student", "label": "accuracy (%)", "percent": True}],
        "series": "run",
        "levels": {"A_teacher_level": "teacher"},
    },
    "published": [],
    "same": "Everything that there is, all of it.",
    "differs": "Nothing that matters for this test.",
}


def command(*arguments: str) -> int:
    with patch.object(sys, "argv", ["figures", *arguments]), patch.object(run, "ProcessPoolExecutor", Here):
        try:
            figures.main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    configs = tmp_path / "figure"
    configs.mkdir()
    (configs / "tiny.yaml").write_text(yaml.safe_dump(SPEC, sort_keys=False))
    wrong = {**SPEC, "runs": {"wrong": {"overrides": ["attack=nobody"]}}}
    (configs / "broken.yaml").write_text(yaml.safe_dump(wrong))
    monkeypatch.setattr(figures, "FOLDER", configs)
    return tmp_path


def test_a_figure_goes_from_its_file_to_its_page_and_a_failure_stops_no_other(folder, small, capsys):
    small = [*(text for text in small if not text.startswith("compare=")), "measure.controls=[]", "recipe.steps=1"]
    small += ["budget.checkpoints=[8]", f"paths.runs={folder / 'runs'}"]
    assert command("figure=all", *small) == 2
    told = capsys.readouterr()
    assert "To do: 2 campaigns and 4 students" in told.out
    assert "not drawn: broken (a run does not compose" in told.err
    out = folder / "runs" / "figures"
    page = (out / "index.html").read_text()
    assert "nobody" in page
    assert "<svg" in page
    found = json.loads((out / "tiny" / "tiny.json").read_text())
    assert [(dot["series"], dot["x"]) for dot in found["ours"]] == [
        ("plain", "none"), ("plain", "answer_only"), ("again", "none"),
    ]  # fmt: skip
    assert set(found["levels"]) == {"teacher"}
    assert (out / "tiny" / "runs" / "plain" / "report.html").exists()
    begun: list[str] = []
    with patch.object(Store, "building", watching(begun)):
        assert command("figure=tiny", *small) == 0
    assert begun == []
    assert "To do" not in capsys.readouterr().out
    assert command("figure=broken", *small) == 2
    assert capsys.readouterr().err.startswith("error: a run does not compose")


def watching(begun: list[str]):
    """Keeps the stages that are really built."""
    kept = Store.building

    def building(self, stage, key, **more):
        if not self.stage(stage, key).complete:
            begun.append(stage)
        return kept(self, stage, key, **more)

    return building
