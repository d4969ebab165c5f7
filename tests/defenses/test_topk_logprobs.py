import pytest
import torch
from defense_fakes import fake_rows, tiny
from hypothesis import given
from hypothesis import strategies as st

from defenses.topk_logprobs import TopkLogprobs
from spiritsafe.errors import UserError


@given(k=st.integers(1, 30), seed=st.integers(0, 99))
def test_shows_the_k_largest_as_they_are(k, seed):
    logprobs = torch.randn(4, 20, generator=torch.Generator().manual_seed(seed)).log_softmax(-1)
    shown = TopkLogprobs(k).disclose(logprobs, fake_rows(4))
    seen = shown.isfinite()
    assert seen.sum(-1).tolist() == [min(k, 20)] * 4
    assert torch.equal(shown[seen], logprobs[seen])
    for row in range(4):
        hidden = logprobs[row][~seen[row]]
        assert hidden.numel() == 0 or hidden.max() <= logprobs[row][seen[row]].min()
    assert torch.equal(shown.argmax(-1), logprobs.argmax(-1))


def test_ties_still_show_k():
    assert TopkLogprobs(3).disclose(torch.zeros(2, 8).log_softmax(-1), fake_rows(2)).isfinite().sum(-1).tolist() == [
        3,
        3,
    ]


def test_rounds_to_decimals():
    logprobs = torch.tensor([[0.5, 0.3, 0.2]]).log()
    shown = TopkLogprobs(2, decimals=1).disclose(logprobs, fake_rows(1))[0].tolist()
    assert shown == pytest.approx([-0.7, -1.2, float("-inf")])


@pytest.mark.parametrize("bad", [{"k": 0}, {"k": 2, "decimals": -1}])
def test_bad_knobs_name_the_remedy(bad):
    with pytest.raises(UserError, match=r"interface.top_logprobs=0"):
        TopkLogprobs(**bad)


def test_more_than_the_vocabulary_names_the_remedy():
    TopkLogprobs(64).check(tiny())
    with pytest.raises(UserError, match=r"k=65 tokens .* set k to at most 64"):
        TopkLogprobs(65).check(tiny())
