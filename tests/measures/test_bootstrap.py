import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spiritsafe.measures.bootstrap import Bootstrap, estimate, resampled_means

SCORES = np.random.default_rng(0).integers(0, 2, (4, 3, 60)).astype(float)  # [arms, seeds, items]
CLUSTERS = np.arange(60) // 3
NAMES = np.array([f"c{c}" for c in CLUSTERS])


def means(scores: NDArray, clusters: NDArray = NAMES, resamples: int = 400, seed: int = 0) -> NDArray:
    bootstrap = Bootstrap(resamples, seed)
    return resampled_means(scores, bootstrap.seeds(scores.shape[1]), bootstrap.items(clusters))


def test_every_resample_is_the_mean_of_its_drawn_rows() -> None:
    bootstrap = Bootstrap(20, 3)
    seeds, items = bootstrap.seeds(3).astype(int), bootstrap.items(NAMES).astype(int)
    drawn = means(SCORES, resamples=20, seed=3)
    for r in range(21):
        rows = SCORES.repeat(seeds[r], axis=1).repeat(items[r], axis=2)
        assert drawn[:, r] == pytest.approx(rows.mean((1, 2)))
    assert (seeds.sum(1) == 3).all()
    assert (items[:, ::3].sum(1) == 20).all()  # 20 clusters drawn, whole ones only
    assert (items[:, ::3] == items[:, 1::3]).all()


@given(st.permutations(range(60)))
@settings(max_examples=10)
def test_the_order_of_items_does_not_matter(order: list[int]) -> None:
    assert means(SCORES[:, :, order], NAMES[order]) == pytest.approx(means(SCORES), abs=1e-6)


@given(st.floats(-3, 3))
@settings(max_examples=10)
def test_a_constant_shifts_the_mean_and_not_the_difference(constant: float) -> None:
    shifted, plain = means(SCORES + constant), means(SCORES)
    assert shifted == pytest.approx(plain + constant, abs=1e-5)
    assert shifted[0] - shifted[1] == pytest.approx(plain[0] - plain[1], abs=1e-5)


def test_equal_arms_differ_in_no_resample() -> None:
    both = means(np.stack([SCORES[0], SCORES[0]]))
    assert (both[0] == both[1]).all()
    assert both[0].std() > 0


def test_a_seed_decides_everything() -> None:
    assert (means(SCORES, seed=1) == means(SCORES, seed=1)).all()
    assert (means(SCORES, seed=1)[:, 1:] != means(SCORES, seed=2)[:, 1:]).any()


def test_an_arm_without_seeds_is_the_same_under_every_seed() -> None:
    once = np.full_like(SCORES[:1], np.nan)
    once[0, 1] = SCORES[0, 1]
    assert means(once) == pytest.approx(means(np.broadcast_to(SCORES[0, 1], (1, 3, 60))))


def test_a_lost_seed_is_left_out() -> None:
    two = SCORES[:1].copy()
    two[0, 2] = np.nan
    drawn = means(two)
    assert drawn[0, 0] == pytest.approx(SCORES[0, :2].mean())
    assert np.isnan(drawn).mean() == pytest.approx(1 / 27, abs=0.03)  # only the lost seed was drawn
    assert estimate(drawn[0], "rate")["low"] is not None


def test_spread_agrees_with_the_clustered_error() -> None:
    from spiritsafe.measures.intervals import clustered_se

    drawn = means(SCORES[:, :1], resamples=20_000)
    groups = 20
    expected = clustered_se(SCORES[0, 0], NAMES) * np.sqrt((groups - 1) / groups)
    assert drawn[0, 1:].std() == pytest.approx(expected, rel=0.03)


def test_estimates_are_json() -> None:
    assert estimate([np.inf, 1, 2, np.nan], "ratio") == {"value": None, "low": 1, "high": 2, "unit": "ratio"}
    assert estimate([1.0, np.nan], "ratio") == {"value": 1, "low": None, "high": None, "unit": "ratio"}
