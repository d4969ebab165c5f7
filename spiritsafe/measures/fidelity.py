"""How far a student copies its teacher, right or wrong.  Stanton et al., arXiv 2106.05945; Jagielski et al. 2020."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike


def agreement(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Share of items on which two models give the same answer."""
    return float(np.mean([a == b for a, b in zip(left, right, strict=True)]))


def kappa(left: Sequence[Hashable], right: Sequence[Hashable]) -> float:
    """Cohen's kappa: agreement beyond chance; nan where chance alone gives full agreement."""
    n, chance = len(left), 0.0
    for value in set(left) | set(right):
        chance += sum(a == value for a in left) / n * sum(b == value for b in right) / n
    return (agreement(left, right) - chance) / (1 - chance) if chance < 1 else float("nan")


def both_wrong_agreement(
    left: Sequence[Hashable], right: Sequence[Hashable], left_right: ArrayLike, right_right: ArrayLike
) -> float:
    """Agreement on the items that both models get wrong, the nearest thing to a copying fingerprint; nan where none.

    ``left_right`` and ``right_right`` [n] say where each model's answer is correct.
    """
    wrong = ~np.asarray(left_right, bool) & ~np.asarray(right_right, bool)
    pairs = [(a, b) for a, b, bad in zip(left, right, wrong, strict=True) if bad]
    return float(np.mean([a == b for a, b in pairs])) if pairs else float("nan")


def top1_agreement(left: ArrayLike, right: ArrayLike) -> float:
    """Share of the n positions at which two models' logits [n, vocabulary] peak at the same token."""
    return float(np.mean(np.asarray(left).argmax(-1) == np.asarray(right).argmax(-1)))
