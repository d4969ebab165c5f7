"""Cards of one protocol, ranked: a board. Cards of different protocols are never compared."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from math import inf

from spiritsafe.benchmark.card import Card, Number, Point, Protocol


@dataclass(frozen=True)
class Rank:
    """``place`` by the score; ``best`` and ``last`` are the places that separated intervals leave possible."""

    place: int
    best: int
    last: int


@dataclass(frozen=True)
class Entry:
    """One card. ``link`` is unique in the page. ``rank`` is None for what is not admissible or has no score."""

    card: Card
    link: str
    rank: Rank | None


@dataclass(frozen=True)
class Board:
    """``entries``: the ranked ones in order, then the others. ``codes``: versions of the code that measured them."""

    name: str
    protocol: Protocol
    undefended: Point
    entries: list[Entry]
    codes: int

    @property
    def ranked(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.rank is not None]


def boards(cards: Sequence[Card]) -> list[Board]:
    """One for each digest of a protocol, the largest first."""
    digests: dict[str, list[Card]] = {}
    for card in cards:
        digests.setdefault(card.protocol.digest, []).append(card)
    names, found = set[str](), []
    for digest, members in sorted(digests.items(), key=lambda item: (-len(item[1]), item[1][0].protocol.name)):
        name = unique(re.sub(r"[^\w.+@-]+", "-", members[0].protocol.name) or "protocol", names, digest[:8])
        found.append(board(name, members))
    return found


def board(name: str, cards: Sequence[Card]) -> Board:
    ordered = sorted(cards, key=lambda card: (not ranks(card), -_value(card), card.defense.id))
    places = iter(ranking([card.score for card in ordered if ranks(card) and card.score]))
    links = set[str]()
    entries = [
        Entry(card, unique(f"{name}/{card.defense.id}", links), next(places) if ranks(card) else None)
        for card in ordered
    ]
    return Board(name, cards[0].protocol, ordered[0].undefended, entries, len({card.code for card in cards}))


def ranks(card: Card) -> bool:
    score = card.score
    return card.admissible and score is not None and score.value is not None and score.unit == "ratio"


def ranking(scores: Sequence[Number]) -> list[Rank]:
    """Of scores in falling order. Two places are told apart where their intervals do not meet."""
    ends = [(-inf if each.low is None else each.low, inf if each.high is None else each.high) for each in scores]
    return [
        Rank(
            place + 1,
            1 + sum(other > high for other, _ in ends),
            len(ends) - sum(other < low for _, other in ends),
        )
        for place, (low, high) in enumerate(ends)
    ]


def unique(name: str, taken: set[str], suffix: str = "") -> str:
    """``name``, or with a suffix where it is taken, which it is from now on."""
    tried = (f"{name}-{suffix or number}" if number < 3 else f"{name}-{suffix}{number}" for number in count(2))
    found = name if name not in taken else next(each for each in tried if each not in taken)
    taken.add(found)
    return found


def _value(card: Card) -> float:
    return -inf if card.score is None or card.score.value is None else card.score.value
