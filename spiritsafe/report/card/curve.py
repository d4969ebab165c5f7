"""The worst case against budget, as a figure small enough to stand in every card."""

from __future__ import annotations

from typing import Any, NamedTuple

from spiritsafe.benchmark.card import Card, Point
from spiritsafe.report.card.scale import Axis, around, ticks
from spiritsafe.report.card.words import column, ends, point_name
from spiritsafe.report.cells import cell
from spiritsafe.report.style import COLOURS

WIDTH, HEIGHT = 560, 280
LEFT, RIGHT, TOP, BOTTOM = 52, 72, 12, 44
DODGE = 7  # so that bars at one budget do not cover one another


class Mark(NamedTuple):
    """A value with its interval, and what it says when it is pointed at."""

    x: float
    y: float
    low: float
    high: float
    said: str


class Line(NamedTuple):
    name: str
    colour: str  # of CSS
    marks: list[Mark]

    @property
    def path(self) -> str:
        return " ".join(f"{mark.x},{mark.y}" for mark in self.marks)


def curve(card: Card) -> dict[str, Any] | None:
    """What `card/curve.html` draws: undefended and each point of the card. None where nothing is known, or where the
    curves count in different units."""
    points = [card.undefended, *card.points]
    known = [each.CT for point in points for each in point.curve if each.CT.value is not None]
    budgets = sorted({each.exchanges for point in points for each in point.curve})
    if not known or len({number.unit for number in known}) > 1:
        return None
    top = 1.0 if known[0].unit == "ratio" else 0.0
    bounds = [end for number in known for end in ends(number)]
    y = Axis(*around(bounds, 0.0, top), HEIGHT - BOTTOM, TOP)
    x = Axis(budgets[0] / 1.3, budgets[-1] * 1.3, LEFT, WIDTH - RIGHT, log=True)
    colours = ["var(--ink)", *(COLOURS[place % len(COLOURS)] for place in range(len(card.points)))]
    lines = [
        Line(point_name(point), colours[place], _marks(point, x, y, DODGE * (place - (len(points) - 1) / 2)))
        for place, point in enumerate(points)
    ]
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "bottom": HEIGHT - BOTTOM, "top": TOP,
        "lines": [line for line in lines if line.marks],
        "across": [(x(budget), f"{budget:,}") for budget in budgets],
        "up": [(y(tick), f"{tick:g}".replace("-", "−")) for tick in ticks(y.low, y.high)],
        "levels": [(y(0.0), "format"), *([(y(top), "teacher")] if top else [])],
        "unit": "" if top else ", points",
    }  # fmt: skip


def _marks(point: Point, x: Axis, y: Axis, shift: float) -> list[Mark]:
    return [
        Mark(
            x(each.exchanges) + shift,
            y(each.CT.value),
            y(ends(each.CT)[0]),
            y(ends(each.CT)[1]),
            f"{point_name(point)}, {each.exchanges:,} exchanges: {cell(column(each.CT))}, by {each.worst}",
        )
        for each in point.curve
        if each.CT.value is not None
    ]
