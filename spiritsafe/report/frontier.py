"""The frontier: what a defense costs honest users against what the attacker still got at the largest budget."""

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spiritsafe.report.content import Row
from spiritsafe.report.style import INK, MUTED, RULE, aside, capability, known, legend, looks, panels, spread
from spiritsafe.report.words import ARMS, family

LINES = ("oracle", "bare")  # arms that met no defense: levels, not points


def utility(rows: Sequence[Row], references: Sequence[Row] = (), controls: Sequence[str] = ()) -> Figure | None:
    """CT, and beside it GAP, against UC; the strengths of one defense are joined."""
    last = [row for row in {row["defense"]: row for row in rows}.values() if known([row["CT"]]) and known([row["UC"]])]
    if not last:
        return None
    names = looks((family(row["defense"]) for row in rows), controls)
    columns = ["CT", "GAP"] if any(known([row["GAP"]]) for row in last) else ["CT"]
    height = 3.9 + 0.19 * (len(names) // 3)
    with panels(4.8 * len(columns), height, 1, len(columns)) as (figure, axes):
        for column, panel in zip(columns, axes, strict=True):
            drawn = [row for row in last if known([row[column]])]
            for name, group in groupby(drawn, key=lambda row: family(row["defense"])):
                points = sorted(group, key=lambda row: float(row["UC"]["value"]))
                x, dx = spread([row["UC"] for row in points])
                y, dy = spread([row[column] for row in points])
                look = names[name].drawn | {"linewidth": 1, "markersize": 7}
                panel.errorbar(x, y, dy, dx, **look)
            _levels(panel, references, column)
            panel.axvline(0, color=RULE, linewidth=1.2, zorder=1)
            panel.margins(x=0.12)
            panel.set_xlabel("utility cost UC (accuracy honest users lose, points)")
        aside(axes[0], "lower left: better for the defender")
        axes[0].set_ylabel(capability(rows))
        if len(axes) > 1:
            axes[1].set_ylabel("GAP: capability without its safeguards (CT − ST)")
        legend(figure, axes[0])
    return figure


def _levels(axes: Axes, references: Sequence[Row], column: str) -> None:
    """Where the undefended ends of the scale are: dashed lines, named at the right."""
    found = {row["defense"]: row for row in references if row["defense"] in LINES and known([row[column]])}
    for name, row in found.items():
        level = row[column]["value"]
        axes.axhline(level, color=MUTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=1)
        axes.text(1.01, level, ARMS[name].replace(" ", "\n"), transform=axes.get_yaxis_transform(), fontsize=7.5,
                  color=MUTED, va="center")  # fmt: skip
    axes.axhline(0, color=INK, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
