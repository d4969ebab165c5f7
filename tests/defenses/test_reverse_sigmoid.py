import numpy as np
import pytest
import torch
from defense_fakes import fake_rows, tiny
from disclosed import drawn, is_normalised, served, table, tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from defenses.reverse_sigmoid import ReverseSigmoid, logit
from spiritsafe.errors import UserError


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), beta=st.floats(1e-4, 1.0), gamma=st.floats(0.01, 2.0))
def test_shown_is_the_formula(seed, beta, gamma):
    honest = drawn(seed)
    shown = ReverseSigmoid(beta, gamma).disclose(honest, fake_rows(6))
    assert is_normalised(shown)
    y = honest.exp().numpy()
    bent = y - beta * (1 / (1 + np.exp(-gamma * np.log(y / (1 - y)))) - 0.5)
    np.testing.assert_allclose(shown.exp().numpy(), bent / bent.sum(-1, keepdims=True), atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), beta=st.floats(1e-4, 1.0))
def test_a_lead_of_beta_keeps_the_top_token(seed, beta):
    honest = drawn(seed, rows=40)
    shown = ReverseSigmoid(beta).disclose(honest, fake_rows(40))
    first, second = honest.exp().topk(2, dim=-1).values.T
    led = first - second > beta
    assert torch.equal(shown.argmax(-1)[led], honest.argmax(-1)[led])


def test_probabilities_above_half_are_told_apart():
    """The clamped reimplementation maps .6 and .9 to one logit, 0, and so bends neither."""
    found = logit(torch.tensor([0.6, 0.9], dtype=torch.float64).log())
    torch.testing.assert_close(found, torch.tensor([0.6 / 0.4, 9.0], dtype=torch.float64).log())
    two = torch.tensor([[0.6, 0.4], [0.9, 0.1]], dtype=torch.float64)
    shown = ReverseSigmoid(0.5).disclose(two.log(), fake_rows(2)).exp()
    lost = two[:, 0] - shown[:, 0]
    assert lost[1] > lost[0] > 1e-3


def test_two_probabilities_may_show_as_one():
    """Many to one: the likelier of two unlikely tokens is shown as the less likely."""
    honest = torch.tensor([[0.9899, 0.0100, 0.0001]], dtype=torch.float64).log()
    assert ReverseSigmoid(0.2).disclose(honest, fake_rows(1))[0].diff()[1] > 0


def test_certain_rows_stay_finite():
    honest = torch.tensor([[200.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).log_softmax(-1)
    assert is_normalised(ReverseSigmoid(1.0).disclose(honest, fake_rows(2)))


def test_no_strength_is_the_same_tensor():
    honest = drawn(0)
    assert ReverseSigmoid(0.0).disclose(honest, fake_rows(6)) is honest


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_text_is_untouched_and_what_is_shown_is_bent(family):
    teacher, defense = tiny(family), ReverseSigmoid(0.1)
    plain, shown = served(teacher), served(teacher, defense)
    assert tokens(plain) == tokens(shown)
    expected = defense.disclose(table(plain), fake_rows(1))
    torch.testing.assert_close(table(shown), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("bad", [{"beta": -0.1}, {"beta": 1.1}, {"gamma": 0.0}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        ReverseSigmoid(**bad)
