"""The program of ModelGuard-W against a generic linear-programming solver, and under the sampler."""

import numpy as np
import pytest
import torch
from defense_fakes import fake_rows, tiny
from disclosed import distance, drawn, is_normalised, served, table, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from defenses.modelguard_w import ModelguardW
from defenses.primitives.guarded import redirect_below_top
from spiritsafe.errors import UserError


def solved(honest, score, radius, margin):
    """The maximum over y' and d >= |y' − y|, by a generic solver."""
    size, top = len(honest), int(honest.argmax())
    others = [token for token in range(size) if token != top]
    margin = min(margin, honest[top] - honest[others].max())
    one = np.eye(size)
    bounds = [np.concatenate([np.zeros(size), np.ones(size)])]
    bounds += [np.concatenate([sign * one[token], -one[token]]) for sign in (1, -1) for token in range(size)]
    bounds += [np.concatenate([one[token] - one[top], np.zeros(size)]) for token in others]
    result = linprog(
        np.concatenate([-score, np.zeros(size)]),
        A_ub=bounds,
        b_ub=[radius, *honest, *-honest, *[-margin] * (size - 1)],
        A_eq=[np.concatenate([np.ones(size), np.zeros(size)])],
        b_eq=[honest.sum()],
    )
    return -result.fun


def agrees(honest, score, radius, margin):
    found = redirect_below_top(honest, score, radius, margin)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(-1), torch.ones(len(found), dtype=torch.float64), atol=1e-5, rtol=0)
    assert ((found - honest).abs().sum(-1) <= radius + 1e-5).all()
    assert torch.equal(found.argmax(-1), honest.argmax(-1))
    for row in range(len(found)):
        best = solved(honest[row].numpy(), score[row].numpy(), radius, margin)
        assert float((found[row] * score[row]).sum()) == pytest.approx(best, abs=3e-5)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    radius=st.floats(0.01, 2),
    margin=st.sampled_from([0.0, 1e-4, 0.05]),
    heat=st.sampled_from([0.01, 0.5, 2.0, 6.0]),
    paper=st.booleans(),
)
def test_the_operator_is_the_linear_program(seed, radius, margin, heat, paper):
    """With ModelGuard's score and with any other."""
    honest = drawn(seed, 3, heat=heat).exp()
    score = -(honest + 1e-6).log() if paper else drawn(seed + 1, 3)
    agrees(honest, score, radius, margin)


@pytest.mark.parametrize(
    "row",
    [
        [0.125] * 8,
        [0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
        [0.3, 0.25, 0.25, 0.2, 0, 0, 0, 0],
        [0.5, 0.5, 0, 0, 0, 0, 0, 0],
        [0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.4],
    ],
)
@pytest.mark.parametrize("radius", [0.1, 1.0, 2.0])
def test_ties_peaks_and_flat_rows(row, radius):
    honest = torch.tensor([row], dtype=torch.float64)
    agrees(honest, -(honest + 1e-6).log(), radius, 1e-4)


@pytest.mark.parametrize("vocabulary", [300, 20000])
@pytest.mark.parametrize("heat", [0.0, 0.01, 2.0, 10.0])
def test_large_vocabularies_in_single_precision(vocabulary, heat):
    honest = drawn(0, 4, vocabulary, heat).float()
    shown = ModelguardW().disclose(honest, fake_rows(4))
    assert is_normalised(shown)
    assert (distance(shown, honest) <= 1 + 1e-5).all()
    assert torch.equal(shown.argmax(-1), honest.argmax(-1))
    score = -(honest.double().exp() + 1e-6).log()
    best = redirect_below_top(honest.double().exp(), score, 1.0)
    gained = ((best - shown.double().exp()) * score).sum(-1)
    assert gained.abs().max() < 1e-3


def test_rows_are_solved_apart():
    honest = drawn(3, 8, 40)
    together = ModelguardW().disclose(honest, fake_rows(8))
    for row in range(8):
        assert torch.equal(ModelguardW().disclose(honest[row : row + 1], fake_rows(1))[0], together[row])


def test_mass_leaves_the_likely_for_the_unlikely():
    shown = ModelguardW().disclose(torch.tensor([[0.9, 0.06, 0.04]]).log(), fake_rows(1)).exp()[0]
    torch.testing.assert_close(shown, torch.tensor([0.4, 0.2001, 0.3999]), atol=1e-5, rtol=0)


def test_no_strength_is_the_same_tensor():
    honest = drawn(0)
    assert ModelguardW(0.0).disclose(honest, fake_rows(6)) is honest


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_text_is_untouched_and_batches_do_not_matter(family):
    teacher = tiny(family)
    plain, alone = served(teacher), served(teacher, ModelguardW(), batch_size=1)
    together = served(teacher, ModelguardW(), batch_size=9)
    assert tokens(plain) == tokens(alone) == tokens(together)
    torch.testing.assert_close(table(alone).exp(), table(together).exp(), atol=1e-3, rtol=0)
    assert (distance(table(plain), table(alone)) > 0.5).all()


@pytest.mark.parametrize("bad", [{"epsilon": -0.1}, {"epsilon": 2.5}, {"margin": 1.0}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        ModelguardW(**bad)
