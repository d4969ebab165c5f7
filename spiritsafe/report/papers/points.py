"""From rows to what is drawn: a point a row and y column, with its panel, its series and its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.measures.columns import Column
from spiritsafe.report.content import Row
from spiritsafe.report.papers.spec import Axis, Draw, Value


@dataclass(frozen=True)
class Number:
    """Bounds are None where an interval is not known."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Dot:
    """``x`` is a word on a categorical axis. ``exchanges`` and ``seeds`` are of the row it came from."""

    panel: str
    series: str
    x: Number | str
    y: Number
    exchanges: int | None
    seeds: int | None

    @property
    def plain(self) -> dict[str, Any]:
        return asdict(self)


def dots(rows: Sequence[Row], draw: Draw) -> list[Dot]:
    """Rows without a value (a ratio that was gated stands in other units: none either) are left out."""
    kept = [row for row in rows if all(row.get(name) in wanted for name, wanted in draw.only.items())]
    if draw.exchanges == "last":
        kept = list(
            {(row["run"], row.get("variant"), row.get("defense"), row.get("place")): row for row in kept}.values()
        )
    absent = {name for name in (draw.x.column, draw.series, draw.panel) if name and name != "measure"}
    absent = {name for name in absent if not any(name in row for row in rows)}
    absent |= {axis.column for axis in draw.y if not any(axis.column in row for row in rows)}
    if absent:
        known = sorted({name for row in rows for name in row})
        raise UserError(f"no row has a column {', '.join(sorted(absent))}: draw some of {', '.join(known)}")
    found = []
    for row in kept:
        for axis in draw.y:
            y, x = number(row.get(axis.column), axis), _x(row.get(draw.x.column), draw)
            if y is None or x is None:
                continue
            named = {**row, "measure": axis.label}
            panel = shown(named[draw.panel], draw) if draw.panel else ""
            series = str(named[draw.series])
            found.append(Dot(panel, series, x, y, row.get("exchanges"), row.get("seeds")))
    return list(dict.fromkeys(found))  # runs may share a stack


def levels(rows: Iterable[Row], draw: Draw) -> dict[str, float]:
    """Horizontal lines, by label: of the first row that has the column."""
    found = {}
    for name, label in draw.levels.items():
        for row in rows:
            if (level := number(row.get(name), draw.y[0])) is not None:
                found[label] = level.value
                break
    return found


def number(found: Column | float, axis: Axis) -> Number | None:
    """In the axis's units."""
    scale = 100.0 if axis.percent else 1.0
    if not isinstance(found, Mapping):
        return None if found is None or isinstance(found, str) else Number(scale * found)
    if found["value"] is None or found.get("gated"):
        return None
    ends = [None if found[end] is None else scale * found[end] for end in ("low", "high")]
    return Number(scale * found["value"], *ends)


def _x(found: Any, draw: Draw) -> Number | str | None:
    return shown(found, draw) if isinstance(found, str) else number(found, draw.x)


def shown(value: Value, draw: Draw) -> str:
    return draw.names.get(str(value), str(value))


def words(points: Sequence[Dot], draw: Draw) -> list[str]:
    """The words of a categorical axis, in order; none where x is a number."""
    there = list(dict.fromkeys(dot.x for dot in points if isinstance(dot.x, str)))
    order = [shown(value, draw) for value in draw.order]
    return [word for word in order if word in there] + [word for word in there if word not in order]
