import numpy as np
import pytest

from spiritsafe.defense import Verdict
from spiritsafe.measures.ownership import ownership


def uniform(seed: int, count: int = 500) -> tuple[float, ...]:
    return tuple(np.random.default_rng(seed).random(count))


def test_a_mark_that_is_there_is_found_and_one_that_is_not_is_not():
    marked = [Verdict(p, 9.0, 1000, uniform(seed)) for seed, p in enumerate((1e-9, 1e-7, 0.2))]
    clean = [Verdict(p, 0.0, 900, uniform(seed)) for seed, p in enumerate((0.3, 0.5, 0.9), 10)]
    row = ownership(marked, clean)
    assert row["p"] == 1e-7
    assert row["p_clean"] == 0.5
    assert row["tpr"] == pytest.approx(2 / 3)
    assert row["null"] == 6 * 500 + 3
    assert row["threshold"] < 0.003
    assert row["fpr"] < 0.004
    assert (row["observations"], row["seeds"]) == (1000, 3)


def test_a_broken_test_shows_in_its_null():
    """A test whose wrong keys look like its right one has no power, however small its p-values are."""
    tiny = tuple(p * 1e-9 for p in uniform(0))
    row = ownership([Verdict(1e-10, 9.0, 10, tiny)], [Verdict(0.5, 0.0, 10, tiny)])
    assert row["fpr"] > 0.99
    assert row["tpr"] == 0
