"""Figures beside published points: which points are drawn, with which numbers, and what is said below."""

import json

import pytest

from spiritsafe.errors import UserError
from spiritsafe.report.papers.points import Number, dots, levels, words
from spiritsafe.report.papers.spec import Spec, spelled
from spiritsafe.report.papers.write import Finished, index, write

PUBLISHED = {
    "source": "arXiv 2504.13146",
    "place": "Figure 3",
    "tag": "P",
    "title": "GSM8K",
    "x": "teacher",
    "y": "student",
}
SPEC = {
    "title": "A trade-off",
    "question": "What for what?",
    "runs": {"one": {}},
    "lab": {"minutes": 1},
    "full": {"overrides": ["teacher.path=<teacher>"], "needs": {"teacher": "a model"}, "gpu_hours": 2},
    "draw": {
        "x": {"column": "UC", "label": "cost (points)"},
        "y": [{"column": "CT", "label": "accuracy (%)", "percent": True}],
        "levels": {"A_format_level": "format-only student"},
    },
    "published": [PUBLISHED | {"points": {"none": [[90, 65], [89, 56]]}}],
    "same": "The same question in other words.",
    "differs": "Nearly everything else, and the models.",
}


def column(value, unit="rate", **more):
    return {"value": value, "low": value - 0.1, "high": value + 0.1, "unit": unit, "gated": False, **more}


def row(defense, exchanges, cost, transfer, **more):
    found = {"run": "one", "defense": defense, "exchanges": exchanges, "seeds": 2, "UC": column(cost, "points")}
    return {**found, "CT": transfer, "A_format_level": column(0.25), **more}


ROWS = [
    row("none", 64, 0.0, column(0.5)),
    row("none", 256, 0.0, column(0.9)),
    row("temperature", 256, 5.0, column(0.4)),
    row("temperature", 256, 5.0, column(0.4), run="two"),
    row("grad2", 256, 1.0, column(4.0, "points", gated=True) | {"gated": True}),
    row("mad", 256, 1.0, None),
]


def spec(**draw) -> Spec:
    return Spec.model_validate({**SPEC, "draw": {**SPEC["draw"], **draw}})


def test_the_last_budget_of_every_stack_is_drawn_in_the_units_of_the_axis():
    found = dots(ROWS, spec().draw)
    assert [(dot.series, dot.exchanges) for dot in found] == [("none", 256), ("temperature", 256)]
    assert found[0].y == Number(90.0, 80.0, 100.0)
    assert found[1].x == Number(5.0, 4.9, 5.1)
    assert levels(ROWS, spec().draw) == {"format-only student": 25.0}


def test_all_budgets_panels_and_several_columns():
    y = [{"column": "CT", "label": "capability"}, {"column": "ST", "label": "safety"}]
    rows = [{**each, "ST": column(0.1)} for each in ROWS[:3]]
    draw = spec(y=y, series="measure", panel="defense", exchanges="all", names={"none": "undefended"}).draw
    found = dots(rows, draw)
    assert [(dot.panel, dot.series, dot.y.value) for dot in found] == [
        ("undefended", "capability", 0.5), ("undefended", "safety", 0.1),
        ("undefended", "capability", 0.9), ("undefended", "safety", 0.1),
        ("temperature", "capability", 0.4), ("temperature", "safety", 0.1),
    ]  # fmt: skip


def test_words_stand_in_their_order_and_rows_can_be_chosen():
    x = {"column": "defense", "label": "defense"}
    draw = spec(x=x, order=["temperature", "none"], names={"none": "nothing"}).draw
    assert words(dots(ROWS, draw), draw) == ["temperature", "nothing"]
    only = spec(x=x, only={"defense": ["none"]}).draw
    assert [dot.x for dot in dots(ROWS, only)] == ["none"]


def test_a_column_that_no_row_has_is_named():
    with pytest.raises(UserError, match=r"no row has a column A, panel: draw some of .*UC"):
        dots(ROWS, spec(y=[{"column": "A", "label": "?"}], panel="panel").draw)


def test_a_figure_is_drawn_with_its_numbers_and_its_evidence(tmp_path):
    published = [*SPEC["published"], {**PUBLISHED, "tag": "A", "direction": "it falls."}]
    made = write(tmp_path, "tried", Spec.model_validate({**SPEC, "published": published}), ROWS, "lab", ["spiritsafe"])
    assert not made.error
    svg = (tmp_path / "tried.svg").read_text()
    for said in ("Ours", "Published: GSM8K", "format-only", "[P: the paper or its own files]", "Direction only",
                 "The same: The same question", "Different: Nearly", "2 seeds (quick)", "cost (points)"):  # fmt: skip
        assert said in svg
    assert (tmp_path / "tried.png").stat().st_size > 10_000
    found = json.loads((tmp_path / "tried.json").read_text())
    assert [dot["y"]["value"] for dot in found["ours"]] == [90.0, 40.0]
    assert found["published"][0]["points"] == {"none": [[90.0, 65.0], [89.0, 56.0]]}
    assert (found["scale"], found["commands"]) == ("lab", ["spiritsafe"])
    again = tmp_path / "again"
    write(again, "tried", Spec.model_validate({**SPEC, "published": published}), ROWS, "lab", ["spiritsafe"])
    assert (again / "tried.svg").read_text() == svg


def test_published_points_stand_on_our_axes_where_units_agree(tmp_path):
    on_ours = [PUBLISHED | {"axes": "ours", "points": {"none": [[1, 50]]}}]
    draw = {**SPEC["draw"], "panel": "defense"}
    write(tmp_path, "tried", Spec.model_validate({**SPEC, "draw": draw, "published": on_ours}), ROWS, "lab", [])
    svg = (tmp_path / "tried.svg").read_text()
    assert "published: arXiv 2504.13146" in svg
    assert "Published:" not in svg


def test_nothing_to_draw_is_said(tmp_path):
    with pytest.raises(UserError, match="nothing to draw: no row has CT"):
        write(tmp_path, "tried", spec(), [ROWS[-1]], "lab", [])


def test_the_page_shows_what_was_drawn_and_lists_what_was_not(tmp_path):
    drawn = write(tmp_path / "tried", "tried", spec(), ROWS, "lab", ["spiritsafe compare=[temperature]"])
    failed = Finished("other", "Another", "", tmp_path / "other", (), "there are no cards")
    page = index(tmp_path, [drawn, failed], "lab").read_text()
    assert "<svg" in page
    assert "spiritsafe compare=[temperature]" in page
    assert 'href="tried/tried.json"' in page
    assert "there are no cards" in page


def test_a_run_of_several_values_is_a_run_of_each():
    run = {"each": {"radius": [0.1, 1], "how": ["a"]}, "overrides": ["r=<radius>", "p=<proxy>"], "columns": {"k": "v"}}
    found = spelled("grid", run)
    assert list(found) == ["grid, radius 0.1, how a", "grid, radius 1, how a"]
    assert found["grid, radius 0.1, how a"] == {
        "overrides": ["r=0.1", "p=<proxy>"], "columns": {"k": "v", "radius": 0.1, "how": "a"}
    }  # fmt: skip
    assert spelled("plain", {"overrides": ["a"]}) == {"plain": {"overrides": ["a"]}}
