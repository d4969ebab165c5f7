"""A card as one HTML page that holds everything and opens without a network."""

from __future__ import annotations

from typing import Any

from spiritsafe.benchmark.card import Card
from spiritsafe.report.card.curve import curve
from spiritsafe.report.card.words import admission, column, flags, point_name, verdict
from spiritsafe.report.cells import NOTHING
from spiritsafe.report.page import rendered
from spiritsafe.report.words import ARMS, defense_name


def page(card: Card) -> str:
    title = f"{card.defense.id}: {card.defense.title}"
    kicker = f"benchmark card · {card.protocol.name}"
    return rendered("card/card.html", title=title, kicker=kicker, **WORDS, **shown(card))


def shown(card: Card) -> dict[str, Any]:
    """What `card/body.html` says of one card, `WORDS` apart."""
    return {
        "card": card,
        "said_first": verdict(card),
        "admission": admission(card),
        "flags": flags(card),
        "plot": curve(card),
        "beside": {each.exchanges: each for each in card.undefended.curve},
        "short": short(card),
        "owned": owned(card),
    }


WORDS: dict[str, Any] = {"column": column, "point_name": point_name, "defense_name": defense_name, "arms": ARMS}


def owned(card: Card) -> list[tuple[str, str, list[str]]]:
    """One row a point and attack whose students were tested for a mark: (point, attack, cells)."""
    return [
        (point_name(point), attack, [_told(each) for each in found.model_dump().values()])
        for point in card.points
        for attack, found in point.ownership.items()
    ]


def _told(number: float | None) -> str:
    return NOTHING if number is None else f"{number:,}" if isinstance(number, int) else f"{number:.2g}"


def short(card: Card) -> list[str]:
    """Where an attack came to less than its budget."""
    return [
        f"{point_name(point)}, {name} at {checkpoint.exchanges:,}: {note}"
        for point in card.points
        for checkpoint in point.curve
        for name, attack in checkpoint.attacks.items()
        for note in attack.notes
    ]
