"""Intervals and standard errors of item scores.

Wilson's interval because Wald's fails near 0 and 1 (Bowyer et al., arXiv 2503.01747); clustered and paired errors as in
Miller, arXiv 2411.00640, with the C/(C-1) of inspect_ai.
"""

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray

Z95 = 1.959963984540054


def wilson(rate: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Interval of a proportion ``rate`` seen on ``n`` independent items; ``n`` may be an effective number."""
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def clustered_se(scores: ArrayLike, clusters: Sequence[str] | NDArray) -> float:
    """Standard error of the mean of ``scores`` [n] whose items are dependent within ``clusters`` [n]; nan for one."""
    values = np.asarray(scores, float)
    codes = np.unique(np.asarray(clusters), return_inverse=True)[1]
    sums = np.bincount(codes, values - values.mean())
    if len(sums) < 2:
        return float("nan")
    return float(sqrt(len(sums) / (len(sums) - 1) * np.square(sums).sum()) / len(values))


def paired_se(left: ArrayLike, right: ArrayLike, clusters: Sequence[str] | NDArray | None = None) -> float:
    """Standard error of the mean difference of two arms scored on the same n items."""
    difference = np.asarray(left, float) - np.asarray(right, float)
    return clustered_se(difference, np.arange(len(difference)) if clusters is None else clusters)


def effective_items(scores: ArrayLike, clusters: Sequence[str] | NDArray) -> float:
    """Independent items that ``scores`` [n] in [0, 1] are worth: n over the design effect of the clusters, at most n.

    Where all scores agree the design effect cannot be seen, and the number of clusters is returned.
    """
    values = np.asarray(scores, float)
    mean, n, groups = float(values.mean()), len(values), len(np.unique(np.asarray(clusters)))
    spread = mean * (1 - mean)
    if groups < 2 or spread < 1e-12:
        return float(groups)
    return float(min(n, n * spread / ((n - 1) * clustered_se(values, clusters) ** 2 or np.inf) if n > 1 else 1))
