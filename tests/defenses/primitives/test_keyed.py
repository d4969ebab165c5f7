import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, chisquare, kstest

from defenses.primitives.keyed import binomial_tail, binomial_test, bits, green, marked, ngrams, observations, secrets
from spiritsafe.attack import Example
from spiritsafe.errors import UserError

SECRET = secrets("test", "k")


def examples(*texts):
    return [Example((), "", token_ids=tuple(text)) for text in texts]


def random_examples(count, length, vocabulary, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return examples(*torch.randint(vocabulary, (count, length), generator=generator).tolist())


def test_a_list_is_what_its_tokens_are_one_by_one():
    generator = torch.Generator().manual_seed(0)
    windows, tokens = torch.randint(300, (50, 2), generator=generator), torch.randint(300, (50,), generator=generator)
    lists = green(SECRET, windows, 300, 0.3)
    assert torch.equal(lists[torch.arange(50), tokens], marked(bits(SECRET, windows, tokens), 0.3))


@pytest.mark.parametrize("share", [0.02, 0.25, 0.5, 0.9])
def test_shares_are_kept_and_lists_are_independent(share):
    """Share of one list, of the overlap of lists of neighbouring windows, and of the lists of two keys."""
    windows = torch.tensor([[5, 6], [6, 5], [5, 7], [6, 6]])
    size = 200_000
    lists = green(SECRET, windows, size, share).double()
    other = green(secrets("test", "another"), windows, size, share).double()
    error = 5 * (share * (1 - share) / size) ** 0.5
    assert (lists.mean(-1) - share).abs().max() < error
    overlap = torch.cat([lists, other]) @ torch.cat([lists, other]).T / size
    off = ~torch.eye(8, dtype=torch.bool)
    assert (overlap[off] - share**2).abs().max() < 5 * (share**2 * (1 - share**2) / size) ** 0.5


def test_every_bit_is_fair_and_no_two_agree():
    windows = torch.arange(4000).reshape(-1, 2)
    drawn = bits(SECRET, windows, torch.arange(2000) % 7)
    signs = (drawn[:, None] >> torch.arange(64) & 1).double() * 2 - 1
    correlations = signs.T @ signs / len(signs)
    assert signs.mean(0).abs().max() < 5 / 2000**0.5
    assert correlations.fill_diagonal_(0).abs().max() < 5 / 2000**0.5


def test_a_window_that_is_not_full_has_no_list():
    lists = green(SECRET, torch.tensor([[-1, 3], [2, 3], [-1, -1]]), 100, 0.5)
    assert lists.any(-1).tolist() == [False, True, False]


def test_secrets_are_apart():
    found = torch.cat([secrets(owner, key, 30) for owner in ("kgw", "synthid") for key in ("a", "b", 1, 10)])
    assert len(found.unique()) == len(found) == 8 * 31
    assert torch.equal(secrets("kgw", "a"), secrets("kgw", "a", 9)[:1])
    with pytest.raises(UserError, match="key="):
        secrets("kgw", None)


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 400), share=st.floats(0.01, 0.99), data=st.data())
def test_the_tail_is_exact(count, share, data):
    hits = data.draw(st.integers(0, count))
    expected = binom.sf(hits - 1, count, share)
    assert float(binomial_tail(torch.tensor(hits), count, share)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_the_tail_is_exact_for_many_observations():
    hits = torch.tensor([250_000, 251_000, 255_000])
    found = binomial_tail(hits, 1_000_000, 0.25)
    assert found.tolist() == pytest.approx(binom.sf(hits.numpy() - 1, 1_000_000, 0.25).tolist(), rel=1e-6)
    assert 0 < found[-1] < 1e-29


@settings(max_examples=40, deadline=None)
@given(texts=st.lists(st.lists(st.integers(0, 4), max_size=9), max_size=6), width=st.integers(1, 3))
def test_observations_are_the_unique_pairs_inside_completions(texts, width):
    windows, tokens = observations(examples(*texts), width)
    found = [(*window, token) for window, token in zip(windows.tolist(), tokens.tolist(), strict=True)]
    expected = {tuple(text[i : i + width + 1]) for text in texts for i in range(len(text) - width)}
    assert set(found) == expected
    assert len(found) == len(expected)
    grams, owners, places = ngrams(examples(*texts), width + 1)
    for gram, owner, place in zip(grams.tolist(), owners.tolist(), places.tolist(), strict=True):
        assert gram == texts[owner][place - width : place + 1]
    assert len(grams) == sum(max(0, len(text) - width) for text in texts)


def p_values(windows, tokens, keys=400, share=0.25):
    verdict = binomial_test(
        secrets("test", "k", keys), windows, tokens, lambda b: marked(b, share).sum(-1), trials=1, share=share
    )
    return torch.tensor([verdict.p_value, *verdict.null])


def test_keys_that_marked_nothing_give_uniform_p_values():
    found = p_values(*observations(random_examples(200, 40, 1000), 2))
    assert kstest(found.numpy(), "uniform").pvalue > 0.01
    assert chisquare(torch.histc(found.float(), 10, 0, 1).numpy()).pvalue > 0.01


def test_repetition_is_a_false_positive_only_where_it_is_counted():
    text = random_examples(40, 30, 1000, seed=1) * 50
    counted = ngrams(text, 3)[0]
    assert (p_values(counted[:, :-1], counted[:, -1]) < 1e-3).double().mean() > 0.1
    once = p_values(*observations(text, 2))
    assert (once < 1e-3).double().mean() < 0.01
    assert kstest(once.numpy(), "uniform").pvalue > 0.01


def test_nothing_said_proves_nothing():
    assert p_values(*observations(examples([1, 2], []), 2), keys=3).tolist() == [1, 1, 1, 1]
