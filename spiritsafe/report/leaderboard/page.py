"""The leaderboard: one static page, a board a protocol, that opens without a network and sends nothing anywhere.

A card may come from a stranger: its text is escaped wherever it stands, and the page's policy lets no script run but
its own.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from markupsafe import Markup

from spiritsafe.benchmark.card import Card, Flag, Number, Point
from spiritsafe.report.card.page import WORDS, shown
from spiritsafe.report.card.scale import Axis
from spiritsafe.report.card.words import FLAGS, ends
from spiritsafe.report.leaderboard.boards import Board, boards
from spiritsafe.report.leaderboard.frontier import frontier
from spiritsafe.report.page import rendered


class Heading(NamedTuple):
    """Of a column with a number: what it says, what that means, and how it is sorted at first."""

    name: str
    meaning: str
    first: str
    number: Callable[[Point], Number | None]


NUMBERS = (
    Heading("CT-AUC", "worst-case capability transfer, averaged over the logarithm of the budget", "ascending",
            lambda point: point.CT_AUC),
    Heading("CT*", "capability transfer of the worst attack, at the largest budget", "ascending",
            lambda point: point.curve[-1].CT),
    Heading("ST", "safety transfer of that student", "descending", lambda point: point.curve[-1].ST),
    Heading("GAP", "capability without its safeguards: CT − ST of that student", "ascending",
            lambda point: point.curve[-1].GAP),
    Heading("UC pt", "accuracy that honest users lose, in points", "ascending", lambda point: point.UC),
    Heading("AC ×", "attacker's cost of half the teacher's lead, over its undefended value", "descending",
            lambda point: point.AC_multiple),
    Heading("tokens ×", "completion tokens of a benign reply, over undefended ones", "ascending",
            lambda point: point.tokens_multiple),
)  # fmt: skip
LIMITS = (-0.5, 1.2)  # of the bars of scores: what lies outside ends at the edge


def page(cards: Sequence[Card], rejected: Sequence[str] = ()) -> str:
    """HTML. ``rejected``: what is said of files that are no cards."""
    script = Markup("\n" + _file("leaderboard.js"))
    found = boards(cards)
    return rendered(
        "leaderboard/leaderboard.html",
        title="Leaderboard",
        kicker="defenses against distillation",
        script=script,
        allowed=b64encode(sha256(script.encode()).digest()).decode(),
        boards=[(each, frontier(each), scale(each)) for each in found],
        families=sorted({card.defense.family for card in cards if card.defense.family}),
        numbers=NUMBERS,
        rejected=rejected,
        shown=shown,
        key=key,
        ends=ends,
        breaking=breaking,
        quick=FLAGS[Flag.QUICK],  # a board's heading says it once
        **WORDS,
    )


def scale(board: Board) -> Axis:
    """Of the bars of a board's scores, 0 to 100."""
    scores = [entry.card.score for entry in board.entries]
    values = [end for score in scores if score and score.value is not None for end in ends(score)]
    return Axis(max(min([0.0, *values]), LIMITS[0]), min(max([1.0, *values]), LIMITS[1]), 0, 100)


def key(number: Number | None) -> str:
    """What a cell is sorted by: a number that is beyond reach counts as where it was last seen."""
    value = None if number is None else number.beyond if number.value is None else number.value
    return "" if value is None else f"{value:.6g}"


def breaking(name: str) -> Markup:
    """A name that may go on in the next line after an underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
