"""Hierarchical paired bootstrap: seeds are resampled, then item clusters, the same draw for every arm.

A statistic is any formula of means. Each mean is kept as a vector whose entry 0 is the estimate and whose other entries
are its values in the resamples, so a formula written once in numpy recomputes the whole statistic in every resample.
With S seeds the between-seed part of the variance is understated by (S - 1) / S, as in any bootstrap.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import ArrayLike, NDArray

Draws = NDArray[np.float64]  # [1 + resamples]


@dataclass(frozen=True)
class Bootstrap:
    """Deterministic by ``seed``; the draws of an item set depend on its name and clusters, not on the items' order."""

    resamples: int = 10_000
    seed: int = 0

    def seeds(self, count: int) -> NDArray[np.float32]:
        """How often each of ``count`` seeds is drawn: [1 + resamples, count], row 0 all ones."""
        return self._counts(count, "seeds")

    def items(self, clusters: Sequence[str] | NDArray, name: str = "") -> NDArray[np.float32]:
        """How often each item is drawn when its clusters [items] are: [1 + resamples, items]."""
        labels, codes = np.unique(np.asarray(clusters), return_inverse=True)
        return self._counts(len(labels), f"items/{name}")[:, codes]

    def stream(self, name: str) -> np.random.Generator:
        return np.random.default_rng([self.seed, crc32(name.encode())])

    def _counts(self, size: int, stream: str) -> NDArray[np.float32]:
        drawn = (
            self.stream(stream).integers(size, size=(self.resamples, size)) + size * np.arange(self.resamples)[:, None]
        )
        counts = np.bincount(drawn.ravel(), minlength=size * self.resamples).reshape(self.resamples, size)
        return np.concatenate([np.ones((1, size)), counts]).astype(np.float32)


def resampled_means(scores: ArrayLike, seeds: NDArray[np.float32], items: NDArray[np.float32]) -> Draws:
    """Means of ``scores`` [arms, S, items] in every resample: [arms, 1 + resamples].

    ``seeds`` [1 + R, S] and ``items`` [1 + R, items] come from one `Bootstrap`. A seed that an arm lacks is all nan. An
    arm that was run once (a teacher) has no seeds to resample: its one row stands for every seed.
    """
    values = np.asarray(scores, np.float32)
    arms, count, n = values.shape
    there = ~np.isnan(values).any(-1)  # [arms, S]
    once = there.sum(1) == 1
    values = np.where(once[:, None, None], np.nansum(values, 1, keepdims=True), values)
    there = there | once[:, None]
    means = np.nan_to_num(values).reshape(arms * count, n) @ items.T / items.sum(1)
    drawn = there[:, :, None] * seeds.T  # [arms, S, 1 + R]
    with np.errstate(invalid="ignore"):
        return np.asarray((means.reshape(arms, count, -1) * drawn).sum(1) / drawn.sum(1), np.float64)


def estimate(draws: ArrayLike, unit: str, scale: float = 1.0) -> dict[str, Any]:
    """Value and 95% percentile interval of one statistic [1 + resamples], ready for JSON; not finite is None."""
    vector = np.asarray(draws, float) * scale
    resamples = vector[1:][~np.isnan(vector[1:])]
    bounds = np.percentile(resamples, [2.5, 97.5], method="inverted_cdf") if len(resamples) else [math.nan, math.nan]
    named = zip(("value", "low", "high"), (vector[0], *bounds), strict=True)
    return {**{name: float(x) if math.isfinite(x) else None for name, x in named}, "unit": unit}
