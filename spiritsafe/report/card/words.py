"""A card in plain words: what its flags mean, and its score in one sentence."""

from __future__ import annotations

from spiritsafe.benchmark.card import INADMISSIBLE, Card, Flag, Number, Point
from spiritsafe.measures.columns import Column
from spiritsafe.report.cells import interval, phrase
from spiritsafe.report.words import defense_name

FLAGS = {
    Flag.QUICK: "quick protocol",
    Flag.PASSIVE_ONLY: "passive attackers only",
    Flag.UNCALIBRATED_UTILITY: "utility not calibrated",
    Flag.SINGLE_SEED: "single seed",
    Flag.PRIVATE_ATTACK: "private attack",
    Flag.CHANGED_PROTOCOL: "changed protocol",
    Flag.DIRTY_CODE: "uncommitted code",
}
MEANINGS = {
    Flag.QUICK: "fewer seeds, budgets and items than the whole protocol has",
    Flag.PASSIVE_ONLY: "no attacker adapted to anything, so the worst case was not looked for",
    Flag.UNCALIBRATED_UTILITY: "honest users pay another price than at a utility point of the protocol",
    Flag.SINGLE_SEED: "nothing is known of the spread between students",
    Flag.PRIVATE_ATTACK: "an attack's code is not public, so nobody else can run it",
    Flag.CHANGED_PROTOCOL: "an option differs from the protocol's",
    Flag.DIRTY_CODE: "measured with edits that no commit holds",
}


def column(number: Number | None) -> Column:
    """As the cells of a report are written."""
    if number is None:
        return None
    found = number.model_dump()
    return found if number.beyond is not None else {name: each for name, each in found.items() if name != "beyond"}


def ends(number: Number) -> tuple[float, float]:
    """Of the interval; the value where an end is not known."""
    value = number.value or 0.0
    return (value if number.low is None else number.low, value if number.high is None else number.high)


def flags(card: Card) -> list[tuple[str, str, bool]]:
    """Every flag: its name, what it means and why it was raised, and whether it keeps the card from being ranked; those
    that do come first."""
    order = sorted(card.flags, key=lambda flag: (flag not in INADMISSIBLE, list(Flag).index(flag)))
    return [(FLAGS[flag], f"{MEANINGS[flag]}: {card.flags[flag]}", flag in INADMISSIBLE) for flag in order]


def admission(card: Card) -> str:
    blocking = [name for name, _, blocks in flags(card) if blocks]
    return f"Not admissible, so it is not ranked: {', '.join(blocking)}." if blocking else "Admissible: it is ranked."


def verdict(card: Card) -> str:
    """What the score means."""
    score, attacks, budgets = card.score, len(card.protocol.attacks), card.protocol.budgets
    if score is None or score.value is None:
        why = (score.note if score else None) or "undefended, too little was transferred to speak of a share"
        return f"There is no score: {why}."
    over = f"{budgets[0]:,} to {budgets[-1]:,} exchanges" if len(budgets) > 1 else f"{budgets[0]:,} exchanges"
    against = f"Against the worst of {attacks} attacks" if attacks > 1 else "Against its one attack"
    if score.gated or score.unit != "ratio":
        return f"{against}, over {over}, students gained {phrase(column(score))} less than undefended."
    return f"{against}, over {over}, {_removed(score)}{_price(card.headline)}."


def _removed(score: Number) -> str:
    value, low, high = (score.value or 0.0, score.low, score.high)
    between = f" [{100 * low:.0f}, {100 * high:.0f}]" if low is not None and high is not None else ""
    did = "removes" if value >= 0 else "adds"
    share = f"it {did} {abs(100 * value):.0f}%{between} of what students gain undefended".replace("-", "−")
    return share + (", which cannot be told from nothing" if low is not None and high is not None and low <= 0 <= high
                    else "")  # fmt: skip


def _price(point: Point) -> str:
    cost = column(point.UC)
    if point.UC.value is None:
        return ""
    if abs(point.UC.value) < 0.05:
        return f"; honest users lose no accuracy {interval(cost)}".rstrip()
    if point.UC.value < 0:
        return f"; honest users lose no accuracy ({phrase(cost)})"
    return f"; honest users lose {phrase(cost).lstrip('+')} of accuracy"


def point_name(point: Point) -> str:
    return defense_name(point.stack)
