"""The figure of all defenses: a panel a card, in its own units, the undefended teacher behind it."""

import json

import pytest
from benchmark_cards import card

from scripts.figures import FOLDER, command, figure
from spiritsafe.benchmark.card import write
from spiritsafe.errors import UserError
from spiritsafe.report.papers.spec import read
from spiritsafe.report.papers.tables import cards, detectors


@pytest.fixture
def folder(tmp_path):
    for name, transfer in {"answer_only": 0.0, "kgw": 0.8, "temperature": 0.4}.items():
        made = card(name, transfer)
        (tmp_path / "cards").mkdir(exist_ok=True)
        write(made.model_copy(update={"defense": made.defense.model_copy(update={"control": name == "temperature"})}),
              tmp_path / "cards" / f"{name}.json")  # fmt: skip
    return tmp_path


def test_a_card_is_a_row_a_budget_at_its_headline_point(folder):
    rows = cards(folder, "cards")
    assert [(row["defense"], row["exchanges"]) for row in rows][:2] == [("answer_only", 512), ("answer_only", 1024)]
    last = rows[-1]
    assert (last["card"], last["seeds"]) == ("temperature (control)", 3)
    assert (last["CT"]["value"], last["CT_undefended"]["value"], last["ST"]["value"]) == (0.4, 0.9, 0.0)
    with pytest.raises(UserError, match=r"there are no cards in none: make some by `python -m scripts\.benchmark"):
        cards(folder, "none")


def test_all_cards_are_one_figure(folder, capsys):
    found = figure("transfer", "full", {"cards": folder / "cards"}, [], folder / "out")
    assert not found.error
    drawn = json.loads((folder / "out" / "transfer.json").read_text())
    assert [dot["panel"] for dot in drawn["ours"]][::8] == ["answer_only", "kgw", "temperature (control)"]
    assert {dot["series"] for dot in drawn["ours"]} == {axis.label for axis in read(FOLDER / "transfer.yaml").draw.y}
    svg = (folder / "out" / "transfer.svg").read_text()
    assert "temperature (control)" in svg
    assert "3 seeds (quick)" in svg
    assert command(read(FOLDER / "transfer.yaml"), "cards", "full", {"cards": folder}, ()) == f"cards: folder={folder}"


def test_detectors_say_which_prompts_they_lack(tmp_path):
    with pytest.raises(UserError, match=r"there are no prompts in .*given\.data=FOLDER"):
        detectors(tmp_path, "nowhere")
