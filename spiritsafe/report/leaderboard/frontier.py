"""The frontier of a board: what each defense costs honest users against what the worst attack got over all budgets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from spiritsafe.benchmark.card import Point
from spiritsafe.report.card.scale import Axis, around, ticks
from spiritsafe.report.card.words import column, ends, point_name
from spiritsafe.report.cells import phrase
from spiritsafe.report.leaderboard.boards import Board
from spiritsafe.report.style import COLOURS
from spiritsafe.report.words import NO_DEFENSE

WIDTH, HEIGHT = 760, 430
LEFT, RIGHT, TOP, BOTTOM = 56, 24, 16, 46
LETTER, LINE, RADIUS = 6.3, 14, 5.0  # of a label's letter, of its height, of a marker
UNDEFENDED = "var(--ink)"
Box = tuple[float, float, float, float]  # left, top, right, bottom
Row = tuple[Point, str, bool, str]  # link, whether it is a control, family


class Dot(NamedTuple):
    """A card's utility point. ``bars``: left, right, upper and lower ends of its intervals. ``best``: no other costs
    less and lets less through. ``square``: of a family that comes after those with a colour of their own."""

    x: float
    y: float
    bars: tuple[float, float, float, float]
    colour: str
    square: bool
    control: bool
    best: bool
    link: str
    said: str
    label: str


class Label(NamedTuple):
    x: float
    y: float
    anchor: str
    text: str


def frontier(board: Board) -> dict[str, Any] | None:
    """What `leaderboard/frontier.html` draws; None where there is nothing to draw."""
    found = list(_points(board))
    if len(found) < 2:
        return None
    costs, areas = [point.UC for point, *_ in found], [point.CT_AUC for point, *_ in found]
    x = Axis(*around([end for number in costs for end in ends(number)], 0.0), LEFT, WIDTH - RIGHT)
    y = Axis(*around([end for number in areas for end in ends(number)], 0.0), HEIGHT - BOTTOM, TOP)
    best = nondominated([(cost.value or 0.0, area.value or 0.0) for cost, area in zip(costs, areas, strict=True)])
    families = list(dict.fromkeys(family for *_, family in found if family != NO_DEFENSE))
    looks = {family: (COLOURS[place % len(COLOURS)], place >= len(COLOURS)) for place, family in enumerate(families)}
    looks[NO_DEFENSE] = (UNDEFENDED, False)
    dots = [_dot(row, place in best, *looks[row[-1]], x, y) for place, row in enumerate(found)]
    dots.sort(key=lambda dot: (dot.x, -dot.y))
    return {
        "width": WIDTH, "height": HEIGHT, "left": LEFT, "right": WIDTH - RIGHT, "top": TOP, "bottom": HEIGHT - BOTTOM,
        "dots": dots, "labels": labels(dots), "steps": steps([(dot.x, dot.y) for dot in dots if dot.best]),
        "across": [(x(tick), f"{tick:g}".replace("-", "−")) for tick in ticks(x.low, x.high, 8)],
        "up": [(y(tick), f"{tick:g}".replace("-", "−")) for tick in ticks(y.low, y.high)],
        "families": [(name, *look) for name, look in looks.items()],
    }  # fmt: skip


def _dot(row: Row, best: bool, colour: str, square: bool, x: Axis, y: Axis) -> Dot:
    point, link, control, _ = row
    name, cost, area = point_name(point), point.UC, point.CT_AUC
    bars = (x(ends(cost)[0]), x(ends(cost)[1]), y(ends(area)[1]), y(ends(area)[0]))
    said = f"{name}: CT-AUC {phrase(column(area))}, UC {phrase(column(cost))}"
    return Dot(x(cost.value or 0.0), y(area.value or 0.0), bars, colour, square, control, best, link, said, name)


def _points(board: Board) -> Iterator[Row]:
    """All that is ranked, and undefended; where both numbers are known."""
    rows = [
        (point, entry.link, entry.card.defense.control, entry.card.defense.family or "other")
        for entry in board.ranked
        for point in entry.card.points
    ]
    for row in [(board.undefended, "", False, NO_DEFENSE), *rows]:
        if None not in (row[0].UC.value, row[0].CT_AUC.value) and row[0].CT_AUC.unit == "ratio":
            yield row


def nondominated(points: Sequence[tuple[float, float]]) -> set[int]:
    """Places of those that no other beats in one coordinate without losing in the other; small is good."""
    return {
        place
        for place, (x, y) in enumerate(points)
        if not any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)
    }


def steps(points: Sequence[tuple[float, float]]) -> str:
    """A staircase through points that fall from left to right (their y grows downwards), as an SVG path."""
    if not points:
        return ""
    (x, y), *others = points
    return f"M{x},{y}" + "".join(f"H{right}V{lower}" for right, lower in others)


def labels(dots: Sequence[Dot]) -> list[Label]:
    """Names of the best and of undefended, where they cover no marker and no other name; the rest are told when they
    are pointed at."""
    taken = [(dot.x - RADIUS, dot.y - RADIUS, dot.x + RADIUS, dot.y + RADIUS) for dot in dots]
    found = []
    for dot in dots:
        if not (dot.best or not dot.link):
            continue
        for label, box in _places(dot):
            inside = box[0] > LEFT and box[2] < WIDTH and box[1] > TOP / 2 and box[3] < HEIGHT - BOTTOM
            if inside and not any(_meet(box, other) for other in taken):
                found.append(label)
                taken.append(box)
                break
    return found


def _places(dot: Dot) -> Iterator[tuple[Label, Box]]:
    long, off = LETTER * len(dot.label), RADIUS + 4
    for anchor, left, x in (("start", dot.x + off, dot.x + off), ("end", dot.x - off - long, dot.x - off)):
        for y in (dot.y - off, dot.y + off + LINE / 2, dot.y - 2 * off, dot.y + 3 * off, dot.y + 4):
            yield Label(round(x, 1), round(y, 1), anchor, dot.label), (left, y - LINE + 3, left + long, y + 3)


def _meet(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
