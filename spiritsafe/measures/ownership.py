"""The ownership table: how surely a mark is found in the students of a defense, and in nobody else.

p-values of different tests are not comparable (a Hoeffding bound is conservative, a binomial tail exact), so the null
is empirical: wrong keys on every suspect, and the true key on suspects that never saw the mark.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from spiritsafe.defense import Verdict

FPR = 1e-3


def ownership(marked: Sequence[Verdict], clean: Sequence[Verdict]) -> dict[str, Any]:
    """``marked`` are the tests of a defense's own students (one a seed), ``clean`` those of students that never saw it.

    ``p`` and ``p_clean`` are medians; ``threshold`` is the p-value that a share FPR of the null lies below, ``tpr`` the
    share of marked students below it, ``fpr`` the share of the null below FPR itself; ``null`` is its size.
    """
    null = np.array([p for each in (*marked, *clean) for p in each.null] + [each.p_value for each in clean])
    threshold = float(np.quantile(null, FPR, method="lower"))
    return {
        "p": median(each.p_value for each in marked),
        "p_clean": median(each.p_value for each in clean) if clean else None,
        "threshold": threshold,
        "tpr": float(np.mean([each.p_value < threshold for each in marked])),
        "fpr": float(np.mean(null < FPR)),
        "observations": int(median(each.count for each in marked)),
        "null": len(null),
        "seeds": len(marked),
    }
