"""Axes of the small figures that are drawn into a page by hand, so that fifty of them stay light."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, log10


@dataclass(frozen=True)
class Axis:
    """Maps [low, high] to [start, end] in the units of a viewBox; what lies outside stands at the edge. ``log`` maps
    its logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, here = (log2(each) if self.log else each for each in (self.low, self.high, value))
        share = (min(max(here, low), high) - low) / (high - low)
        return round(self.start + share * (self.end - self.start), 1)


def ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round numbers in [low, high], about ``count`` of them: steps are 1, 2 or 5 times a power of ten."""
    rough = (high - low) / count
    power = 10.0 ** floor(log10(rough))
    step = power * next(size for size in (1, 2, 5, 10) if size * power >= rough * 0.999)
    return [round(place * step, 10) + 0.0 for place in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def around(values: Sequence[float], *always: float, room: float = 0.06) -> tuple[float, float]:
    """Limits that hold all ``values`` and ``always``, with some room."""
    found = [*values, *always]
    low, high = min(found), max(found)
    spare = room * ((high - low) or 1.0)
    return low - spare, high + spare
