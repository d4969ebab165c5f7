import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import TopPLogitsWarper

from teacher.draw import draw, nucleus


def test_frequencies_follow_the_tempered_softmax() -> None:
    logits = torch.tensor([[0.0, 1.0, 2.0, -torch.inf]])
    uniform = (torch.arange(10_000) + 0.5) / 10_000
    rows = logits.expand(10_000, -1)
    tokens = draw(rows, torch.full((10_000,), 0.7), torch.ones(10_000), uniform.double())
    expected = (logits[0] / 0.7).softmax(-1)
    assert torch.allclose(torch.bincount(tokens, minlength=4) / 10_000, expected, atol=2e-4)


def test_greedy_rows_and_sampled_rows_share_a_batch() -> None:
    logits = torch.tensor([[0.0, 3.0, 1.0]]).expand(2, -1)
    tokens = draw(logits, torch.tensor([0.0, 1.0]), torch.ones(2), torch.tensor([0.999, 0.999]).double())
    assert tokens.tolist() == [1, 2]


@given(st.lists(st.floats(-8, 8, width=32), min_size=2, max_size=20), st.floats(0.01, 1.0))
def test_nucleus_keeps_what_transformers_keeps(scores: list[float], top_p: float) -> None:
    logits = torch.tensor([scores])
    kept = nucleus(logits.softmax(-1), torch.tensor([top_p])) > 0
    expected = TopPLogitsWarper(top_p)(None, logits).softmax(-1) > 0
    mass = logits.softmax(-1)[kept].sum()
    # Where the sum lands on top_p to rounding, either choice is right.
    assert torch.equal(kept, expected) or (mass - top_p).abs() < 1e-5 or kept.sum() == expected.sum()


@given(
    st.lists(st.floats(-80, 80, width=32), min_size=1, max_size=20),
    st.floats(0, 1, exclude_max=True),
    st.floats(1e-3, 50),
)
def test_a_token_without_probability_is_never_drawn(scores: list[float], uniform: float, temperature: float) -> None:
    logits = torch.tensor([[-torch.inf, *scores, -torch.inf]])
    token = draw(logits, torch.tensor([temperature]), torch.ones(1), torch.tensor([uniform], dtype=torch.float64))
    assert 1 <= token.item() <= len(scores)
