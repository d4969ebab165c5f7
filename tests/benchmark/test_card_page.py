"""What a card says on its page and in the terminal."""

import re
from io import StringIO

import pytest
from benchmark_cards import card, number, point
from reading import EVIL, Text
from rich.console import Console

from spiritsafe.benchmark.card import Flag, Ownership, Tuned, read
from spiritsafe.report.card.curve import curve
from spiritsafe.report.card.page import page
from spiritsafe.report.card.scale import Axis, ticks
from spiritsafe.report.card.table import terminal
from spiritsafe.report.card.words import FLAGS, MEANINGS, admission, flags, verdict
from spiritsafe.report.card.write import write_card


def printed(found, width=100) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(terminal(found))
    return console.file.getvalue()


def test_a_folder_holds_the_card_and_its_page(tmp_path):
    html = write_card(card(), tmp_path / "new")
    assert html == tmp_path / "new" / "card.html"
    assert read(tmp_path / "new" / "card.json") == card()
    assert "0.56" in Text(html.read_text(encoding="utf-8")).text


def test_a_page_says_all_that_a_card_holds():
    tuned = Tuned(attack="adaptive", stack="answer_only@-5", chosen={"steps": 7},
                  candidates=[{"options": {"steps": 7}, "accuracy": 0.61, "items": 40}])  # fmt: skip
    text = Text(page(card(tuned=[tuned]))).text
    for said in (
        "0.56", "[.51, .61]", "removes 56% [51, 61]", "3.0\u00a0pt\u00a0[2.0,\u00a04.0]".replace("\u00a0", " "),
        "answer_only −5 pt", "adaptive", "asks twice and keeps what checks out", "0.36", ">40k", ">3.70", "$1.50",
        "oracle student", "97.0", "steps 7", "accuracy 0.61", "ab12cd34", "cafe" * 8, "0f" * 16, "2504.13146",
        "python -m scripts.benchmark defense=[answer_only]", "defenses.answer_only.Some", "3 seeds",
    ):  # fmt: skip
        assert said in text.replace("\u00a0", " "), said


def test_what_students_carry_of_a_mark_is_shown():
    mark = Ownership(p=0.017, p_clean=None, threshold=0.001, tpr=0.25, fpr=0.002, observations=1234, null=40, seeds=3)
    marked = card(points=[point("kgw", 0.9, 0.0).model_copy(update={"ownership": {"adaptive": mark}})])
    assert "kgw adaptive 0.017 – 0.001 0.25 0.002 1,234 40 3" in Text(page(marked)).text
    assert "Ownership" not in Text(page(card())).text


def test_a_page_loads_nothing():
    found = Text(page(card()))
    assert not [tag for tag, _ in found.tags if tag in ("script", "link", "iframe", "img")]
    assert not [at for _, at in found.tags if (at.get("href") or at.get("src") or "").startswith("http")]


def test_text_of_a_card_is_never_markup():
    evil = card(command=EVIL, flags={Flag.QUICK: EVIL})
    evil = evil.model_copy(update={"defense": evil.defense.model_copy(update={"title": EVIL, "config": {EVIL: EVIL}})})
    found = Text(page(evil))
    assert "script" not in [tag for tag, _ in found.tags]
    assert found.text.count(EVIL) >= 5


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (number(0.02), "cannot be told from nothing"),
        (number(-0.3), "adds 30%"),
        (number(None, note="nobody learned"), "no score: nobody learned"),
        (None, "no score"),
        (number(4.0, "points", 1.0, gated=True), "+4.0\u00a0pt"),
    ],
)
def test_a_score_is_put_in_words(score, said):
    assert said in verdict(card(score=score))


def test_flags_that_keep_a_card_out_come_first_and_every_flag_has_words():
    assert FLAGS.keys() == MEANINGS.keys() == set(Flag)
    found = card(flags={Flag.QUICK: "3 seeds", Flag.PRIVATE_ATTACK: "mine"})
    assert [(name, blocks) for name, _, blocks in flags(found)] == [("private attack", True), ("quick protocol", False)]
    assert "not ranked: private attack" in admission(found)
    assert "is ranked" in admission(card())


def test_a_terminal_of_100_columns_is_wide_enough():
    long = "a_defense_with_quite_a_long_name+another_one_behind_it"
    points = [point(f"{long}@-{cost}", 0.4, -3.0, cost / 100) for cost in (1, 5, 10)]
    for line in printed(card(long, points=points)).splitlines():
        assert len(line.rstrip()) <= 100
    text = printed(card())
    assert "0.40 [.35, .45] adaptive" in text
    assert "0.90 [.85, .95]" in text  # undefended beside it
    assert "0.36 [.31, .41]" in text  # naive
    assert "[red]" in printed(card(flags={Flag.QUICK: "[red]"}))  # no markup of the terminal's either


def test_a_curve_stands_where_its_numbers_are():
    found = curve(card())
    assert [line.name for line in found["lines"]] == ["undefended", "answer_only −5 pt"]
    undefended, defended = ([mark.y for mark in line.marks] for line in found["lines"])
    assert undefended[0] > undefended[1]  # y grows downwards, transfer with the budget
    assert all(low > high for low, high in zip(defended, undefended, strict=True))
    one, half, zero = (y for y, _ in found["levels"][::-1]), defended, found["levels"][0][0]
    assert half[1] == pytest.approx(zero + 0.4 * (next(one) - zero), abs=0.2)
    assert all(mark.low > mark.y > mark.high for line in found["lines"] for mark in line.marks)
    assert re.search(r"1,024 exchanges: 0.40 \[.35, .45\], by adaptive", page(card()))


def test_units_are_not_mixed_in_one_curve():
    gated = point("answer_only@-5", 0.4, 3.0, 0.05)
    curve_of = [each.model_copy(update={"CT": number(3.0, "points", gated=True)}) for each in gated.curve]
    assert curve(card(points=[gated.model_copy(update={"curve": curve_of})])) is None
    assert "0.56" in page(card(points=[gated.model_copy(update={"curve": curve_of})]))


def test_axes_and_ticks():
    assert [Axis(0, 10, 100, 0)(value) for value in (0, 5, 10, 99)] == [100, 50, 0, 0]
    assert Axis(1, 4, 0, 10, log=True)(2) == 5
    assert ticks(-0.1, 1.05) == [0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-3, 12, 5) == [0, 5, 10]
