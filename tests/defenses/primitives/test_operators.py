"""The operators against a generic linear-programming solver and against the budgets they promise."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from defenses.primitives.operators import blend, margin_tilt, redirect, share_within, tilt


def drawn(seed, rows=6, vocabulary=8, heat=2.0):
    generator = torch.Generator().manual_seed(seed)
    logits = heat * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)
    return logits, torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)


def distance(first, second):
    return (first - second).abs().sum(-1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), radius=st.floats(0, 2))
def test_redirect_is_the_linear_program(seed, radius):
    logits, score = drawn(seed)
    honest = logits.softmax(-1)
    found = redirect(honest, score, radius)
    torch.testing.assert_close(found.sum(-1), torch.ones(6, dtype=torch.float64))
    assert (found >= 0).all()
    assert (distance(found, honest) <= radius + 1e-9).all()
    for row in range(6):
        best = solved(honest[row].numpy(), score[row].numpy(), radius)
        assert float((found[row] * score[row]).sum()) == pytest.approx(best, abs=1e-7)


def solved(honest, score, radius):
    """max ⟨c, y + u − v⟩ with moves u, v >= 0 that balance, at most ``radius`` in all, v at most what is there."""
    size = len(honest)
    result = linprog(
        np.concatenate([-score, score]),
        A_ub=[np.ones(2 * size)],
        b_ub=[radius],
        A_eq=[np.concatenate([np.ones(size), -np.ones(size)])],
        b_eq=[0],
        bounds=[(0, None)] * size + [(0, mass) for mass in honest],
    )
    return float(score @ honest - result.fun)


@given(seed=st.integers(0, 10**6), strength=st.floats(0, 100))
def test_the_margin_keeps_every_top_token(seed, strength):
    logits, score = drawn(seed)
    tilted = margin_tilt(logits, score, strength)
    assert torch.equal(tilted.argmax(-1), logits.argmax(-1))
    assert tilted.isfinite().all()
    free = tilt(logits, score, strength)
    unbound = (free.argmax(-1) == logits.argmax(-1)) & (free.topk(2).values.diff(dim=-1)[:, 0] < -1e-3)
    torch.testing.assert_close(tilted[unbound], free[unbound])


def test_the_margin_is_used_up_where_it_binds():
    logits, score = torch.tensor([[2.0, 1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    lead = margin_tilt(logits, score, 50.0, margin=0.25)
    torch.testing.assert_close(lead[0, 0] - lead[0, 1], torch.tensor(0.25))


@given(seed=st.integers(0, 10**6), radius=st.floats(0, 2))
def test_the_share_stays_within_its_ball(seed, radius):
    logits, score = drawn(seed)
    origin, target = logits.softmax(-1), score.softmax(-1)
    moved = blend(origin, target, share_within(origin, target, radius))
    assert (distance(moved, origin) <= radius + 1e-9).all()
    far = distance(origin, target) > radius
    torch.testing.assert_close(distance(moved, origin)[far], torch.full((int(far.sum()),), radius, dtype=torch.float64))


def test_no_strength_is_bit_identical():
    logits, score = drawn(0)
    assert torch.equal(tilt(logits, score, 0.0), logits)
    assert torch.equal(margin_tilt(logits, score, 0.0), logits)
    assert torch.equal(blend(logits, score, 0.0), logits)
    assert torch.equal(redirect(logits.softmax(-1), score, 0.0), logits.softmax(-1))


def test_a_strength_for_each_row():
    logits, score = drawn(1)
    each = torch.linspace(0, 2, 6, dtype=torch.float64)
    for operator, origin in ((tilt, logits), (margin_tilt, logits), (redirect, logits.softmax(-1)), (blend, logits)):
        together = operator(origin, score, each if operator is not blend else each / 2)
        for row in range(6):
            own = float(each[row] if operator is not blend else each[row] / 2)
            torch.testing.assert_close(together[row], operator(origin[row : row + 1], score[row : row + 1], own)[0])
