import numpy as np
import pytest
import torch
from defense_fakes import fake_rows
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES, adds_up, logprobs, served

from defenses.rounding import Rounding
from defenses.text_only import TextOnly
from spiritsafe.errors import UserError


@given(seed=st.integers(0, 10**6), decimals=st.integers(0, 6), heat=st.floats(0, 8))
def test_is_the_rounded_law_renormalised(seed, decimals, heat):
    honest = logprobs(seed, heat=heat).double().log_softmax(-1)
    shown = Rounding(decimals).disclose(honest, fake_rows(5))
    for row, (law, found) in enumerate(zip(honest.exp().numpy(), shown.exp().numpy(), strict=True)):
        rounded = np.round(law, decimals)
        if rounded.sum() == 0:
            rounded[law.argmax()] = 1
        else:
            assert np.abs(rounded - law).max() <= 0.5 * 10.0**-decimals + 1e-12
        assert found == pytest.approx(rounded / rounded.sum(), abs=1e-9), row
    assert adds_up(shown)
    assert not shown.isnan().any()
    assert torch.equal(shown.gather(-1, honest.argmax(-1, keepdim=True))[:, 0], shown.amax(-1))


@pytest.mark.parametrize("size", [300, 150_000])
def test_a_row_that_rounds_to_nothing_shows_its_top_token(size):
    honest = logprobs(1, rows=2, vocabulary=size, heat=0.5)
    assert honest.exp().max() < 0.05
    shown = Rounding(1).disclose(honest, fake_rows(2))
    assert shown.isfinite().sum(-1).tolist() == [1, 1]
    assert torch.equal(shown.argmax(-1), honest.argmax(-1))
    assert shown.amax(-1).tolist() == [0, 0]


def test_all_decimals_are_no_change():
    honest = logprobs(0)
    assert Rounding(None).disclose(honest, fake_rows(5)) is honest


def test_what_was_withheld_stays_withheld():
    hidden = TextOnly().disclose(logprobs(0), fake_rows(5))
    assert torch.equal(Rounding(1).disclose(hidden, fake_rows(5)), hidden)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_sampler(family):
    plain, shown = served(family, Rounding(2))
    assert adds_up(shown)
    assert (shown.isfinite().sum(-1) < plain.isfinite().sum(-1)).all()


@pytest.mark.parametrize("decimals", [-1, 16])
def test_bad_decimals_name_the_remedy(decimals):
    with pytest.raises(UserError, match="decimals between 0 and 15"):
        Rounding(decimals)
