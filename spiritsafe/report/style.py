"""How every figure looks: colours that colour-blind readers tell apart (Okabe and Ito 2008), deterministic files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from spiritsafe.measures.columns import Column
from spiritsafe.report.cells import compact
from spiritsafe.report.words import NO_DEFENSE, defense_name, family
from spiritsafe.store.atomic import replacing

INK, MUTED, RULE, PAPER = "#1c2024", "#68707a", "#d9dde2", "#fffffe"
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
LETTERS = 12.5  # of a legend, to the inch
MARKERS = ("s", "^", "D", "v", "P", "X", "p")
RC = {
    "svg.hashsalt": "spiritsafe",
    "svg.fonttype": "none",  # text stays text: searchable, and in the page's own font
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


class Look(NamedTuple):
    colour: str
    marker: str
    label: str
    control: bool = False

    @property
    def drawn(self) -> dict[str, Any]:
        """Arguments of ``errorbar``; controls are hollow."""
        return {
            "color": self.colour,
            "marker": self.marker,
            "markersize": 6,
            "markerfacecolor": PAPER if self.control else self.colour,
            "elinewidth": 1.2,
            "linewidth": 1.8,
            "label": self.label,
        }


def looks(defenses: Iterable[str], controls: Sequence[str] = ()) -> dict[str, Look]:
    """The same colour and marker for a defense in all figures of one report, whatever loss it was calibrated to;
    undefended is ink and round."""
    found = {NO_DEFENSE: Look(INK, "o", defense_name(NO_DEFENSE))}
    names = [name for name in dict.fromkeys(defenses) if name != NO_DEFENSE]
    families = list(dict.fromkeys(family(name) for name in names))
    for name in names:
        place, control = families.index(family(name)), family(name) in controls
        label = defense_name(name) + (" (control)" if control else "")
        found[name] = Look(COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)], label, control)
    return found


@contextmanager
def canvas(width: float, height: float) -> Iterator[tuple[Figure, Axes]]:
    """An empty figure, in inches, that lays itself out. No global state is left behind."""
    with panels(width, height, 1, 1) as (figure, axes):
        yield figure, axes[0]


@contextmanager
def panels(width: float, height: float, rows: int, columns: int, **shared: Any) -> Iterator[tuple[Figure, list[Axes]]]:
    """The same with several axes, row by row; ``shared`` as `Figure.subplots` has it."""
    with rc_context(RC):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = list(figure.subplots(rows, columns, squeeze=False, **shared).flat)
        for each in axes:
            each.grid(color=RULE, linewidth=0.6)
            each.tick_params(length=3)
        yield figure, axes


def save(figure: Figure, folder: Path, name: str) -> None:
    """``name``.svg and ``name``.png, each whole or not at all; the same figure gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with rc_context(RC):
        with replacing(folder / f"{name}.svg") as path:
            figure.savefig(path, format="svg", facecolor=PAPER, metadata={"Date": None, "Creator": None})
        with replacing(folder / f"{name}.png") as path:
            figure.savefig(path, format="png", dpi=200, facecolor="white", metadata={"Software": None})


def known(columns: Iterable[Column]) -> bool:
    return any(column is not None and column["value"] is not None for column in columns)


def spread(columns: Sequence[dict[str, Any]], scale: float = 1.0) -> tuple[list[float], list[list[float]]]:
    """Values and the lengths of their error bars [2][n]; a bound that is not known has none."""
    values = [scale * column["value"] for column in columns]
    lengths = [
        [
            0.0 if column[end] is None else max(0.0, sign * (scale * column[end] - value))
            for column, value in zip(columns, values, strict=True)
        ]
        for end, sign in (("low", -1), ("high", 1))
    ]
    return values, lengths


def legend(figure: Figure, *axes: Axes) -> None:
    """Above the axes, where it covers nothing, on as many lines as the names need."""
    named = [each.get_legend_handles_labels() for each in axes]
    unique = {label: handle for handles, labels in named for handle, label in zip(handles, labels, strict=True)}
    room = LETTERS * figure.bbox.width / figure.dpi  # a part of a figure has no other width
    columns = next((count for count in range(len(unique), 1, -1) if _letters(list(unique), count) <= room), 1)
    figure.legend(unique.values(), unique, loc="outside upper left", ncols=columns, fontsize=8.5, handlelength=1.8)


def _letters(labels: Sequence[str], columns: int) -> int:
    """Width of a legend, its handles counted as six letters each."""
    return sum(max(map(len, part)) + 6 for part in np.array_split(labels, columns))


def ends(axes: Axes, transfers: Sequence[Column]) -> None:
    """Where the format-only student and the teacher are, on the scale that CT has."""
    transfer = next(column for column in transfers if column is not None and column["value"] is not None)
    top = 1.0 if transfer["unit"] == "ratio" else 100 * transfer["denominator"]["value"]
    for level, name in ((0.0, "format-only\nstudent"), (top, "teacher")):
        axes.axhline(level, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        axes.text(1.01, level, name, transform=axes.get_yaxis_transform(), fontsize=8, color=MUTED, va="center")


def log_tokens(axes: Axes) -> None:
    """A horizontal log scale of counts, read as 20k."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(lambda count, _: compact(count).replace(".0", ""))


def aside(axes: Axes, text: str) -> None:
    """How to read the corners, above the axes."""
    axes.set_title(text, loc="right", fontsize=8, color=MUTED)


def capability(rows: Sequence[Mapping[str, Any]]) -> str:
    """The name of the axis that CT is on."""
    gated = any(row["CT"] is not None and row["CT"]["unit"] == "points" for row in rows)
    return (
        "capability gained (points; too little lead for CT)"
        if gated
        else "capability transfer CT (share of the teacher's lead)"
    )
