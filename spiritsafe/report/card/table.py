"""A card in a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from spiritsafe.benchmark.card import Card, Number, Point
from spiritsafe.report.card.page import short
from spiritsafe.report.card.words import admission, column, flags, verdict
from spiritsafe.report.cells import NOTHING, cell, compact, money, value
from spiritsafe.report.table import folded, plain_table
from spiritsafe.report.words import ARMS


def terminal(card: Card) -> Group:
    """What is worth printing at the end of a benchmark."""
    head = Text()
    head.append(f"{card.defense.id}: {card.defense.title}\n", style="bold")
    head.append(f"{card.protocol.name}, version {card.protocol.version} · score {_cell(card.score)}\n", style="bold")
    head.append(f"{verdict(card)}\n{admission(card)}")
    for name, why, _ in flags(card):
        head.append(f"\n{name}", style="bold").append(f": {why}")
    notes = Text("\n".join(["95% intervals · CT* is the largest CT of the attack set", *short(card)]), style="dim")
    return Group(head, worst(card), attacks(card), costs(card), controls(card), notes)


def worst(card: Card) -> Table:
    """One row a point and budget: the strongest attack, its student's safety, and the strongest undefended."""
    table = _table("The worst case", "defense", "budget", "CT*", "by", "ST", "GAP", "undefended")
    undefended = {each.exchanges: each.CT for each in card.undefended.curve}
    for point in card.points:
        for place, each in enumerate(point.curve):
            name = "\n".join(folded(point.stack)) if place == 0 else ""
            safety = _cell(each.ST), _cell(each.GAP)
            beside = _cell(undefended.get(each.exchanges))
            table.add_row(Text(name), f"{each.exchanges:,}", _cell(each.CT), Text(each.worst), *safety, beside)
        table.add_section()
    return table


def attacks(card: Card) -> Table:
    """One row an attack, at the point that the score is read at and the largest budget."""
    last = card.headline.curve[-1]
    table = _table(f"Every attack, at {last.exchanges:,} exchanges", "attack", "CT", "ST", "GAP", "tokens", "$",
                   "undefended CT")  # fmt: skip
    there = next((each.attacks for each in card.undefended.curve if each.exchanges == last.exchanges), {})
    for name, each in last.attacks.items():
        tokens = NOTHING if each.completion_tokens is None else compact(each.completion_tokens)
        dollars = NOTHING if each.dollars is None else money(each.dollars)
        other = there[name].CT if name in there else None
        table.add_row(Text(name), *map(_cell, (each.CT, each.ST, each.GAP)), tokens, dollars, _cell(other))
    return table


def costs(card: Card) -> Table:
    """One row a point: what honest users and attackers pay."""
    table = _table("What it costs", "defense", "UC pt", "UC forced", "refusals", "tokens ×", "AC", "AC $", "AC ×")
    for point in (*card.points, card.undefended):
        users = map(_cell, (point.UC, point.UC_forced, point.extra_refusals))
        table.add_row(Text("\n".join(folded(point.stack))), *users, *map(value, _prices(point)))
    return table


def controls(card: Card) -> Table:
    """One row an arm: percentages with Wilson intervals."""
    table = _table("Controls, in %", "arm", "exchanges", "accuracy", "harmful refused", "look-alikes ref.", "invalid")
    for arm in card.controls:
        rates = (cell(column(each), percent=True) for each in (arm.accuracy, arm.R_h, arm.R_b, arm.invalid))
        table.add_row(Text(ARMS.get(arm.arm, arm.arm)), f"{arm.exchanges:,}" if arm.exchanges else "", *rates)
    return table


def _prices(point: Point) -> Sequence[dict | None]:
    return [column(each) for each in (point.tokens_multiple, point.AC, point.AC_dollars, point.AC_multiple)]


def _cell(number: Number | None) -> str:
    return cell(column(number))


def _table(title: str, *headings: str) -> Table:
    table = plain_table(title)
    for place, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", style="bold" if place == 0 else "")
    return table
