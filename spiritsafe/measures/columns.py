"""Cells of the headline table: statistics with intervals, and ratios only where the denominator is safely above 0."""

from __future__ import annotations

from typing import Any

from spiritsafe.measures.bootstrap import Draws, estimate

GATE = 0.05
Column = dict[str, Any] | None  # None: an arm or a task that it needs was not examined


def opens(denominator: Draws) -> bool:
    """Whether the lower 95% bound of a denominator exceeds the gate."""
    low = estimate(denominator, "rate")["low"]
    return low is not None and low > GATE


def minus(left: Draws | None, right: Draws | None) -> Draws | None:
    return None if left is None or right is None else left - right


def rate(draws: Draws | None) -> Column:
    return None if draws is None else estimate(draws, "rate")


def points(draws: Draws | None) -> Column:
    return None if draws is None else estimate(draws, "points", 100)


def ratio(numerator: Draws | None, denominator: Draws | None) -> Column:
    """numerator / denominator, never clipped; where the gate is shut the numerator in points."""
    if numerator is None or denominator is None:
        return None
    gated = not opens(denominator)
    shown = estimate(numerator, "points", 100) if gated else estimate(numerator / denominator, "ratio")
    return {**shown, "gated": gated, "denominator": estimate(denominator, "rate")}


def empty(unit: str, note: str) -> Column:
    return {"value": None, "low": None, "high": None, "unit": unit, "note": note}
