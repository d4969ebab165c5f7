"""Curves over log budget: the area under them, and the budget at which they cross a level."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def log_auc(budgets: ArrayLike, values: ArrayLike) -> NDArray[np.float64]:
    """Normalised area under ``values`` [..., K] over log of growing ``budgets`` [K]; of a constant, the constant."""
    x, y = np.log(np.asarray(budgets, float)), np.asarray(values, float)
    if len(x) == 1:
        return y[..., 0]
    return np.asarray(((y[..., 1:] + y[..., :-1]) / 2 * np.diff(x)).sum(-1) / (x[-1] - x[0]))


def crossing(budgets: ArrayLike, values: ArrayLike, level: float = 0.5) -> NDArray[np.float64]:
    """Least budget at which ``values`` [..., K] reach ``level``, linear in log budget between the K checkpoints.

    The first budget where the first value is there already; inf where none is; nan where a value is.
    """
    x, y = np.log(np.maximum(np.asarray(budgets, float), 1.0)), np.asarray(values, float)
    reached = y >= level
    after = reached.argmax(-1)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(y, index[..., None], -1)[..., 0] for index in (before, after))
    share = np.where(after > 0, (level - low) / np.where(high > low, high - low, 1.0), 0.0)
    budget = np.where(reached.any(-1), np.exp(x[before] + share * (x[after] - x[before])), np.inf)
    return np.where(np.isnan(y).any(-1), np.nan, budget)
