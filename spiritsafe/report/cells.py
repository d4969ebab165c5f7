"""A column of the headline table as a few characters: ``0.71 [.62, .79]``."""

from typing import Any

from spiritsafe.measures.columns import Column

NOTHING, GATED = "–", "†"


def value(column: Column, percent: bool = False, marked: bool = True) -> str:
    """The estimate alone, with the gate's mark unless the heading carries it: ``0.71``, ``+12.3``
    (points), ``412k`` (tokens), ``$3.40``, ``>1.2M`` where it was never reached."""
    if column is None:
        return NOTHING
    mark = GATED if marked and column.get("gated") else ""
    if column["value"] is None:
        return f">{_short(column['beyond'], column['unit'])}" if "beyond" in column else NOTHING
    if percent:
        return f"{100 * column['value']:.1f}".replace("100.0", "100")
    bound = "≤" if column.get("at_most") else ""
    return bound + _number(column["value"], column["unit"]) + mark


def interval(column: Column, percent: bool = False) -> str:
    """The bounds alone: ``[.62, .79]``; ∞ where resamples never got there, nothing where both ends are unknown."""
    if column is None or (column["low"] is None and column["high"] is None):
        return ""
    ends = [_bound(column[end], column["unit"], percent) for end in ("low", "high")]
    return f"[{ends[0]}, {ends[1]}]"


def cell(column: Column, percent: bool = False, marked: bool = True) -> str:
    return f"{value(column, percent, marked)} {interval(column, percent)}".rstrip()


def phrase(column: Column) -> str:
    """For use in a sentence, unit included and unbroken: ``+12.3 pt [8.1, 16.4]``."""
    unit = {"points": " pt", "tokens": " tokens"}.get(column["unit"], "") if column else ""
    return f"{value(column, marked=False)}{unit} {interval(column)}".rstrip().replace(" ", "\u00a0")


def unit(columns: list[Column]) -> str:
    """What a table's heading adds to a name where all values share it: points, and the gate's mark."""
    there = [column for column in columns if column is not None and column["value"] is not None]
    points = " pt" if there and all(column["unit"] == "points" for column in there) else ""
    return points + (GATED if there and all(column.get("gated") for column in there) else "")


def compact(count: float) -> str:
    """A number of tokens: 950, 41k, 1.2M."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size * 0.9995:
            scaled = count / size
            return f"{scaled:.1f}{suffix}" if scaled < 9.95 else f"{scaled:.0f}{suffix}"
    return f"{count:.0f}"


def money(dollars: float) -> str:
    """A sum of dollars: $0.0042, $0.31, $12.40, $1.2k."""
    if dollars >= 999.5:
        return f"${compact(dollars)}"
    return f"${dollars:.2f}" if dollars >= 0.095 or not dollars else f"${dollars:.2g}"


def plain(number: float | None) -> str:
    """A cost in three digits, nothing where there is none: 0.35, 12, 2.6k."""
    if not number:
        return NOTHING
    return compact(number) if number >= 1000 else f"{number:.3g}"


def seconds(duration: float) -> str:
    return f"{duration:.1f} s" if duration < 60 else f"{int(duration) // 60} min {int(duration) % 60:02d} s"


def _number(number: float, kind: str) -> str:
    known = {"points": f"{number:+z.1f}", "tokens": compact(number), "dollars": money(number)}
    text = known.get(kind, f"{number:z.2f}")
    return text.replace("-", "−")


def _short(number: float, kind: str) -> str:
    return compact(number) if kind == "tokens" else _number(number, kind)


def _bound(number: Any, kind: str, percent: bool) -> str:
    if number is None:
        return "∞"
    if kind in ("tokens", "dollars"):
        return _short(number, kind)
    if percent:
        return f"{100 * number:z.0f}"
    if kind == "points":
        return (f"{number:z.1f}" if abs(number) < 10 else f"{number:z.0f}").replace("-", "−")
    text = f"{number:z.2f}".replace("-", "−")
    return text.replace("0.", ".", 1) if text.startswith(("0.", "−0.")) else text
