from functools import partial
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

from attacks.recover_probabilities import RecoverProbabilities
from attacks.simplex import fold, reverse_sigmoid, rounding, unfold
from defenses.reverse_sigmoid import ReverseSigmoid
from defenses.rounding import Rounding
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message

ROWS = SimpleNamespace()
BENT = partial(reverse_sigmoid, beta=0.02, gamma=0.2, vocabulary=100)


def peaked(count: int, buckets: int, seed: int = 0) -> torch.Tensor:
    """Distributions as a language model has them, best first and the rest of the mass last."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(count, buckets, generator=generator) * torch.linspace(0.5, 6, count)[:, None]
    head, tail = scores.softmax(1).split([buckets - 1, 1], 1)
    return torch.cat([head.sort(1, descending=True).values, tail], 1)


def example(*places: dict[int, float]) -> Example:
    """A row that shows these probabilities."""
    ids = tuple(tuple(place) for place in places)
    values = tuple(tuple(torch.tensor(list(place.values())).log().tolist()) for place in places)
    return Example((Message("user", "q"),), "a", token_ids=(3,) * len(places), top_ids=ids, top_logprobs=values)


def shown(row: Example) -> list[dict[int, float]]:
    return [
        {token: float(torch.tensor(value).exp()) for token, value in zip(ids, values, strict=True)}
        for ids, values in zip(row.top_ids, row.top_logprobs, strict=True)
    ]


@pytest.mark.parametrize(
    ("defense", "forward"),
    [
        (ReverseSigmoid(beta=0.02, gamma=0.2), BENT),
        (Rounding(decimals=1), partial(rounding, decimals=1, vocabulary=100)),
        (Rounding(decimals=2), partial(rounding, decimals=2, vocabulary=100)),
    ],
)
def test_the_attackers_maps_are_the_defenses_where_the_rest_is_even(defense, forward):
    truth = peaked(40, 6)
    whole = torch.cat([truth[:, :-1], (truth[:, -1:] / 95).expand(-1, 95)], 1).double()
    served = defense.disclose(whole.log(), ROWS).exp()
    expected = torch.cat([served[:, :5], served[:, 5:].sum(1, keepdim=True)], 1)
    assert torch.allclose(forward(truth.double()), expected, atol=1e-6)


def flat(y: torch.Tensor) -> torch.Tensor:
    """An invertible map: temperature 2."""
    return y.sqrt() / y.sqrt().sum(-1, keepdim=True)


@pytest.mark.parametrize(("forward", "left"), [(flat, 0.01), (BENT, 0.25)])  # reverse sigmoid is not one to one
def test_error_falls_with_the_size_of_the_table(forward, left):
    truth = peaked(60, 6)
    bent = forward(truth)
    errors = [float((bent - truth).abs().sum(1).mean())]
    for table in (60, 1000, 20_000):
        errors.append(float((RecoverProbabilities(forward, table=table).recover(bent) - truth).abs().sum(1).mean()))
    assert all(after < before for before, after in pairwise(errors))
    assert errors[-1] < left * errors[0]


def test_what_is_recovered_is_a_distribution_with_the_same_top_whose_image_is_what_was_shown():
    bent = BENT(peaked(60, 6))
    recovered = RecoverProbabilities(BENT, table=20_000).recover(bent)
    assert torch.allclose(recovered.sum(1), torch.ones(60), atol=1e-5)
    assert torch.equal(recovered[:, :-1].argmax(1), bent[:, :-1].argmax(1))
    moved = (recovered != bent).any(1)
    assert moved.float().mean() > 0.8
    assert ((BENT(recovered) - bent).abs().sum(1)[moved] < 0.02).all()


def test_the_order_of_the_rows_changes_nothing_and_seeds_do():
    bent = BENT(peaked(30, 4))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    part = RecoverProbabilities(BENT, table=5000)
    assert torch.allclose(part.recover(bent[order]), part.recover(bent)[order], atol=1e-6)
    assert not torch.equal(RecoverProbabilities(BENT, table=5000, seed=1).recover(bent), part.recover(bent))


def test_what_no_candidate_explains_stays_unless_the_nearest_is_asked_for():
    def always(y: torch.Tensor) -> torch.Tensor:
        return torch.tensor([0.9, 0.1, 0.0]).expand_as(y)

    seen = torch.tensor([[0.5, 0.3, 0.2]])
    assert torch.equal(RecoverProbabilities(always, table=100).recover(seen), seen)
    assert not torch.equal(RecoverProbabilities(always, table=100, nearest=True).recover(seen), seen)


def test_rows_come_back_aligned_with_what_was_withheld_left_alone():
    truth = [{7: 0.7, 4: 0.2, 9: 0.05}, {1: 0.6, 2: 0.3, 3: 0.05}]
    row = example(truth[0], {}, truth[1])
    seen = fold([row, Example((), "text")], most=32)
    assert torch.allclose(seen, torch.tensor([[0.7, 0.2, 0.05, 0.05], [0.6, 0.3, 0.05, 0.05]]), atol=1e-6)
    back = unfold([row, Example((), "text")], torch.tensor([[0.1, 0.8, 0.05, 0.05], [0.6, 0.3, 0.05, 0.05]]))
    assert [list(place) for place in shown(back[0])] == [[4, 7, 9], [], [1, 2, 3]]  # best first
    assert shown(back[0])[0] == pytest.approx({4: 0.8, 7: 0.1, 9: 0.05})
    assert back[0].token_ids == row.token_ids
    assert back[1] == Example((), "text")


def test_tokens_beyond_the_best_move_with_the_rest():
    row = example({7: 0.5, 4: 0.2, 9: 0.06, 8: 0.04})
    assert torch.allclose(fold([row], most=2), torch.tensor([[0.5, 0.2, 0.3]]), atol=1e-6)
    back = unfold([row], torch.tensor([[0.6, 0.25, 0.15]]))
    assert shown(back[0])[0] == pytest.approx({7: 0.6, 4: 0.25, 9: 0.03, 8: 0.02})


def test_a_row_is_recovered_and_text_alone_passes():
    truth = torch.tensor([[0.85, 0.1, 0.05]])
    bent = BENT(truth)[0].tolist()
    row = example({5: bent[0], 6: bent[1]})
    recovered = shown(RecoverProbabilities(BENT, table=20_000).refine([row])[0])[0]
    assert recovered == pytest.approx({5: 0.85, 6: 0.1}, abs=0.02)
    text = [Example((Message("user", "q"),), "a", token_ids=(1,), top_ids=((),), top_logprobs=((),))]
    assert RecoverProbabilities(BENT).refine(text) == text
    assert RecoverProbabilities(BENT).refine([]) == []


@pytest.mark.parametrize("options", [{"table": 0}, {"tolerance": 0.0}, {"concentration": 0.0}, {"most": 0}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(UserError, match="table >= 1"):
        RecoverProbabilities(BENT, **options)
    with pytest.raises(UserError, match="set forward"):
        RecoverProbabilities(None)
