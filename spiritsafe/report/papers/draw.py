"""One figure: ours at the left, what was published at the right (or on our axes), and below what to know of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from textwrap import wrap
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from spiritsafe.report.papers.points import Dot, Number, words
from spiritsafe.report.papers.spec import Published, Spec, Value
from spiritsafe.report.style import INK, MUTED, PAPER, RC, RULE, Look, legend, looks

FEW, MANY = (4, 2.5, 2.1), (7, 1.75, 1.5)  # panels in a row, inches wide and high, of up to a dozen and of more
DOZEN, LINE = 12, 0.165  # inches a line of the caption
LETTERS = 15.0  # of the caption, to the inch
DODGE = 0.5  # of the distance between two words of a categorical axis
ASIDE = 0.05  # of a number on a log axis, so that error bars do not cover one another


def drawn(spec: Spec, points: Sequence[Dot], lines: Mapping[str, float], caption: Sequence[str]) -> Figure:
    """``lines`` are our levels, ``caption`` paragraphs."""
    panels = list(dict.fromkeys(dot.panel for dot in points))
    apart = [each for each in spec.published if each.points and each.axes != "ours"]
    names = looks(
        [*(dot.series for dot in points), *(name for each in apart for name in each.points)], spec.draw.controls
    )
    names = {name: look._replace(label=_label(name, look, spec)) for name, look in names.items()}
    most, wide, high = FEW if len(panels) <= DOZEN else MANY
    across = min(len(panels), most)
    down = ceil(len(panels) / across)
    ours_width = 4.6 if across == 1 else wide * across
    theirs_width, height = 3.5 * len(apart), (4.0 if down == 1 else 1.0 + high * down)
    width = max(7.2, ours_width + theirs_width)
    said = [line for text in caption for line in wrap(text, int(LETTERS * width))]
    below = LINE * (len(said) + 1.5)
    with rc_context(RC):
        figure = Figure(figsize=(width, height + below), layout="constrained")
        above, foot = figure.subfigures(2, 1, squeeze=False, height_ratios=(height, below)).flat
        ratios = (ours_width, theirs_width) if apart else (1,)
        sides = above.subfigures(1, len(ratios), squeeze=False, width_ratios=ratios).flat
        _ours(sides[0], spec, points, panels, (down, across), lines, names)
        if apart:
            _theirs(sides[1], apart, names)
        foot.text(0.012, 0.98, "\n".join(said), fontsize=8, color=INK, va="top", linespacing=1.35)
    return figure


def _label(name: str, look: Look, spec: Spec) -> str:
    control = " (control)" if look.control else ""
    return spec.draw.names[name] + control if name in spec.draw.names else look.label


def _ours(
    side: Any,
    spec: Spec,
    points: Sequence[Dot],
    panels: Sequence[str],
    shape: tuple[int, int],
    lines: Mapping[str, float],
    names: Mapping[str, Look],
) -> None:
    draw, order = spec.draw, words(points, spec.draw)
    every = list(side.subplots(*shape, squeeze=False, sharex=len(panels) > 1, sharey=len(panels) > 1).flat)
    for spare in every[len(panels) :]:
        spare.set_visible(False)
    series = list(dict.fromkeys(dot.series for dot in points))
    for number, (panel, axes) in enumerate(zip(panels, every, strict=False)):
        _prepared(axes)
        mine = [dot for dot in points if dot.panel == panel]
        axes.tick_params(labelbottom=number + shape[1] >= len(panels))
        for place, name in enumerate(series):
            there = [dot for dot in mine if dot.series == name]
            if name in draw.behind:
                _behind(axes, there, names[name].label, draw.behind.index(name))
            else:
                _series(axes, there, names[name], order, (place, len(series)), draw.x.scale)
        for each in spec.published:
            if each.axes == "ours" and panel in each.points:
                _diamonds(axes, each.points[panel], order, f"published: {each.source}")
        _levels(axes, lines, named=number % shape[1] == shape[1] - 1 or number == len(panels) - 1)
        small = len(panels) > DOZEN
        axes.set_title("\n".join(wrap(panel, 28)) or "Ours", fontsize=8 if small else 9, loc="left")
        if order:
            _words(axes, order)
        elif draw.x.scale == "log":
            _log(axes, sorted({dot.x.value for dot in points if isinstance(dot.x, Number)}))
        if draw.y[0].scale == "log":
            axes.set_yscale("log")
    across, up = (side.supxlabel, side.supylabel) if len(panels) > 1 else (every[0].set_xlabel, every[0].set_ylabel)
    across(draw.x.label, fontsize=9)
    up("\n".join(wrap(draw.ylabel or draw.y[0].label, 44)), fontsize=9)
    legend(side, *every[: len(panels)])


def _theirs(side: Any, published: Sequence[Published], names: Mapping[str, Look]) -> None:
    every = list(side.subplots(1, len(published), squeeze=False).flat)
    for each, axes in zip(published, every, strict=True):
        _prepared(axes)
        order = list(dict.fromkeys(str(x) for curve in each.points.values() for x, _ in curve if isinstance(x, str)))
        for place, (name, curve) in enumerate(each.points.items()):
            found = [Dot("", name, x if isinstance(x, str) else Number(x), Number(y), None, None) for x, y in curve]
            _series(axes, found, names[name], order, (place, len(each.points)), each.scale)
        _levels(axes, each.levels)
        axes.margins(y=0.12)
        if order:
            _words(axes, order)
        elif each.scale == "log":
            _log(axes, sorted({x for curve in each.points.values() for x, _ in curve if not isinstance(x, str)}))
        axes.set_title(f"Published: {each.title}", fontsize=9, loc="left")
        axes.set_xlabel(each.x, fontsize=9)
        axes.set_ylabel(each.y, fontsize=9)
    legend(side, *every)


def _prepared(axes: Axes) -> None:
    axes.grid(color=RULE, linewidth=0.6)
    axes.tick_params(length=3)


def _series(
    axes: Axes, found: Sequence[Dot], look: Look, order: Sequence[str], place: tuple[int, int], scale: str
) -> None:
    """A line over numbers, from left to right; dots beside one another over words."""
    if not found:
        return
    style = look.drawn | {"markersize": 5.5}
    beside = place[0] - (place[1] - 1) / 2
    if order:
        shift = DODGE * beside / place[1]
        x: list[float] = [order.index(str(dot.x)) + shift for dot in found]
        sideways = None
        style["linestyle"] = "none"
    else:
        found = sorted(found, key=lambda dot: dot.x.value if isinstance(dot.x, Number) else 0.0)
        numbers = [dot.x for dot in found if isinstance(dot.x, Number)]
        x, sideways = [each.value for each in numbers], _lengths(numbers)
        if scale == "log":
            x = [value * (1 + ASIDE) ** beside for value in x]
        style["linewidth"] = 1.4
    y = [dot.y for dot in found]
    axes.errorbar(x, [each.value for each in y], _lengths(y), sideways, **style)


def _behind(axes: Axes, found: Sequence[Dot], label: str, place: int) -> None:
    """A grey line over numbers, for comparison."""
    points = sorted((dot.x.value, dot.y.value) for dot in found if isinstance(dot.x, Number))
    dashes = ((0, (4, 2)), (0, (1, 1)))[place % 2]
    x, y = [point[0] for point in points], [point[1] for point in points]
    axes.plot(x, y, color=MUTED, linewidth=1.2, linestyle=dashes, label=label, zorder=1)


def _lengths(numbers: Sequence[Number]) -> list[list[float]] | None:
    """Of error bars [2][n]; none where no interval is known."""
    if all(each.low is None and each.high is None for each in numbers):
        return None
    down = [max(0.0, each.value - each.low) if each.low is not None else 0.0 for each in numbers]
    up = [max(0.0, each.high - each.value) if each.high is not None else 0.0 for each in numbers]
    return [down, up]


def _diamonds(axes: Axes, curve: Sequence[tuple[Value, float]], order: Sequence[str], label: str) -> None:
    x = [order.index(str(each)) if order else each for each, _ in curve if not order or str(each) in order]
    y = [value for each, value in curve if not order or str(each) in order]
    axes.plot(x, y, "D", color=INK, markerfacecolor=PAPER, markersize=5, label=label, zorder=4)


def _levels(axes: Axes, lines: Mapping[str, float], named: bool = True) -> None:
    for label, level in lines.items():
        axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        if named:
            text = "\n".join(wrap(label, 11))
            axes.text(1.01, level, text, transform=axes.get_yaxis_transform(), fontsize=7.5, color=MUTED, va="center")


def _words(axes: Axes, order: Sequence[str]) -> None:
    axes.set_xticks(range(len(order)), ["\n".join(wrap(word, 14, break_long_words=False)) for word in order])
    axes.set_xlim(-0.6, len(order) - 0.4)


def _log(axes: Axes, there: Sequence[float]) -> None:
    """A tick at each of the values that were run, where they are few."""
    axes.set_xscale("log")
    if len(there) <= 6:
        axes.xaxis.set_major_locator(FixedLocator(list(there)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.6g}")
