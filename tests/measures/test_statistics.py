"""Intervals, pass@k, curves and fidelity against textbook values and independent implementations."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UserError
from spiritsafe.measures.auc import crossing, log_auc
from spiritsafe.measures.fidelity import agreement, both_wrong_agreement, kappa, top1_agreement
from spiritsafe.measures.intervals import clustered_se, effective_items, paired_se, wilson
from spiritsafe.measures.passk import pass_at_k

BITS = st.lists(st.booleans(), min_size=2, max_size=60)


def test_wilson_is_not_empty_at_zero() -> None:
    assert wilson(0, 100) == pytest.approx((0, 0.0370), abs=5e-5)
    assert wilson(1, 100) == pytest.approx((1 - 0.0370, 1), abs=5e-5)


@given(st.integers(1, 500), st.floats(0, 1))
def test_wilson_bounds_solve_the_score_equation(n: int, rate: float) -> None:
    low, high = wilson(rate, n)
    assert 0 <= low <= rate + 1e-9
    assert rate - 1e-9 <= high <= 1
    for bound in (low, high):
        assert (rate - bound) ** 2 == pytest.approx(1.959963984540054**2 * bound * (1 - bound) / n, abs=1e-9)


@given(BITS)
def test_clusters_of_one_give_the_plain_error(scores: list[bool]) -> None:
    plain = np.std(scores, ddof=1) / np.sqrt(len(scores))
    assert clustered_se(scores, np.arange(len(scores))) == pytest.approx(plain)


@given(BITS, st.integers(2, 5))
def test_copies_of_items_teach_nothing(scores: list[bool], copies: int) -> None:
    clusters = np.repeat(np.arange(len(scores)), copies)
    repeated = np.repeat(scores, copies)
    assert clustered_se(repeated, clusters) == pytest.approx(clustered_se(scores, np.arange(len(scores))))
    assert effective_items(repeated, clusters) <= len(scores) + 2
    assert effective_items(scores, np.arange(len(scores))) == pytest.approx(len(scores))


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_the_paired_error_identity(pairs: list[tuple[bool, bool]]) -> None:
    left, right = np.array(pairs, float).T
    n = len(pairs)
    expected = (np.var(left, ddof=1) + np.var(right, ddof=1) - 2 * np.cov(left, right)[0, 1]) / n
    assert paired_se(left, right) ** 2 == pytest.approx(expected, abs=1e-12)


@given(st.integers(1, 7), st.data())
def test_pass_at_k_counts_the_subsets(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    subsets = list(combinations(range(n), k))
    assert pass_at_k([n], [correct], k) == pytest.approx(np.mean([min(s) < correct for s in subsets]))


def test_pass_at_k_at_its_ends() -> None:
    assert pass_at_k([5, 5], [5, 0], 3) == pytest.approx(0.5)
    with pytest.raises(UserError, match="sample more"):
        pass_at_k([2], [1], 3)


@given(st.floats(-2, 2), st.lists(st.integers(1, 10**6), min_size=1, max_size=8, unique=True))
def test_the_area_of_a_constant_is_the_constant(level: float, budgets: list[int]) -> None:
    assert log_auc(sorted(budgets), [level] * len(budgets)) == pytest.approx(level, abs=1e-9)


def test_the_area_by_hand() -> None:
    assert log_auc([64, 256, 1024], [0, 1, 1]) == pytest.approx(0.75)
    assert log_auc([64, 128, 1024], [[0, 1, 1], [0, 0, 1]]) == pytest.approx([(0.5 + 3) / 4, 1.5 / 4])


def test_the_crossing_is_linear_in_log_budget() -> None:
    curves = [[0.0, 0.25, 0.75], [0.5, 0.6, 0.9], [0.0, 0.1, 0.2], [0.0, 0.9, 0.2], [0.0, np.nan, 0.9]]
    assert crossing([100, 400, 1600], curves) == pytest.approx(
        [800, 100, np.inf, 100 * 4 ** (5 / 9), np.nan], nan_ok=True
    )
    assert crossing([0, 0], [0.0, 0.0]) == np.inf


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_kappa_agrees_with_the_confusion_matrix(pairs: list[tuple[int, int]]) -> None:
    left, right = zip(*pairs, strict=True)
    table = np.zeros((4, 4))
    np.add.at(table, (left, right), 1 / len(pairs))
    chance = table.sum(0) @ table.sum(1)
    if chance < 1 - 1e-9:
        assert kappa(left, right) == pytest.approx((table.trace() - chance) / (1 - chance))
    assert agreement(left, left) == 1


def test_agreement_where_both_are_wrong() -> None:
    assert both_wrong_agreement("abcd", "abxy", [1, 0, 0, 0], [1, 0, 0, 1]) == 0.5
    assert np.isnan(both_wrong_agreement("ab", "ab", [1, 1], [0, 0]))


def test_top1_agreement_of_logits() -> None:
    assert top1_agreement([[0, 1], [2, 1]], [[0, 9], [0, 1]]) == 0.5
