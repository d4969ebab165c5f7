import pytest
import torch
from defense_fakes import fake_rows
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES, adds_up, logprobs, served

from defenses.stingy import Stingy
from defenses.text_only import TextOnly
from spiritsafe.errors import UserError


@given(
    seed=st.integers(0, 10**6),
    share=st.floats(0.001, 1),
    temperature=st.floats(1, 50),
    size=st.sampled_from([2, 40, 300]),
)
def test_is_the_sparse_flat_softmax_of_the_logits(seed, share, temperature, size):
    logits = 3 * torch.randn(5, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    shown = Stingy(share, temperature).disclose(logits.log_softmax(-1), fake_rows(5)).exp()
    count = max(1, round(share * size))
    for row, law in zip(logits.tolist(), shown, strict=True):
        kept = sorted(range(size), key=row.__getitem__)[-count:]
        weights = torch.zeros(size, dtype=torch.float64)
        weights[kept] = torch.tensor([row[index] for index in kept], dtype=torch.float64).div(temperature).exp()
        torch.testing.assert_close(law, weights / weights.sum())


@pytest.mark.parametrize("size", [300, 150_000])
def test_the_paper_s_defaults_are_sparse_and_flat(size):
    honest = logprobs(0, rows=2, vocabulary=size)
    shown = Stingy().disclose(honest, fake_rows(2))
    assert shown.isfinite().sum(-1).tolist() == [size // 10] * 2
    assert torch.equal(shown.argmax(-1), honest.argmax(-1))
    assert shown.exp().max() < 2 / (size // 10)
    assert adds_up(shown)


def test_all_of_it_unflattened_is_no_change():
    honest = logprobs(0)
    assert Stingy(1, 1).disclose(honest, fake_rows(5)) is honest
    assert not torch.equal(Stingy(1, 2).disclose(honest, fake_rows(5)), honest)
    assert not torch.equal(Stingy(0.5, 1).disclose(honest, fake_rows(5)), honest)


def test_what_was_withheld_stays_withheld():
    hidden = TextOnly().disclose(logprobs(0), fake_rows(5))
    assert torch.equal(Stingy().disclose(hidden, fake_rows(5)), hidden)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_sampler(family):
    plain, shown = served(family, Stingy())
    assert (shown.isfinite().sum(-1) == 6).all()
    assert torch.equal(shown.argmax(-1), plain.argmax(-1))
    assert adds_up(shown)


@pytest.mark.parametrize("bad", [{"share": 0}, {"share": 1.1}, {"temperature": 0.5}, {"temperature": float("nan")}])
def test_bad_knobs_name_the_remedy(bad):
    with pytest.raises(UserError, match=r"share of the vocabulary above 0 .* temperature of at least 1"):
        Stingy(**bad)
