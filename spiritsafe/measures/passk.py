"""Unbiased pass@k, Chen et al. 2021, arXiv 2107.03374, eq. 1."""

from collections.abc import Sequence
from math import comb

from spiritsafe.errors import UserError


def pass_at_k(samples: Sequence[int], correct: Sequence[int], k: int) -> float:
    """Mean over tasks of the chance that one of ``k`` draws without replacement is right.

    ``samples[i]`` completions of task i were made, ``correct[i]`` of them right. Raises where a task has fewer than k.
    """
    if not samples or k < 1 or min(samples) < k:
        raise UserError(f"pass@{k} needs at least one task and {max(k, 1)} samples of each: sample more or lower k")
    return sum(1 - comb(n - c, k) / comb(n, k) for n, c in zip(samples, correct, strict=True)) / len(samples)
