import pytest
import torch
from defense_fakes import fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from marked_text import served, tokens
from scipy.stats import binom

from defenses.primitives.keyed import bits, secrets
from defenses.synthid import SynthID, tournament
from spiritsafe.errors import UserError


def test_it_is_the_law_of_a_knockout_tournament():
    """2^m candidates drawn from p, winners of pairs by their bit and by a fair coin where equal: the exact law for two
    layers, by enumeration, against the closed form."""
    law, marks = torch.tensor([0.5, 0.2, 0.2, 0.1]), torch.tensor([0b00, 0b01, 0b10, 0b11])
    winners = torch.zeros(4)

    def match(first, second, layer):
        a, b = marks[first] >> layer & 1, marks[second] >> layer & 1
        return [(first, 0.5), (second, 0.5)] if a == b else [((first, second)[int(b > a)], 1.0)]

    for draw in torch.cartesian_prod(*[torch.arange(4)] * 4).tolist():
        chance = law[draw].prod()
        for left, p in match(draw[0], draw[1], 0):
            for right, q in match(draw[2], draw[3], 0):
                for winner, r in match(left, right, 1):
                    winners[winner] += chance * p * q * r
    torch.testing.assert_close(law * tournament(law[None], marks[None], 2)[0].exp(), winners, atol=1e-6, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(temperature=st.floats(0.2, 2), layers=st.integers(1, 40), seed=st.integers(0, 99), sharpness=st.floats(0.1, 30))
def test_every_layer_keeps_the_mass_and_the_sampled_law_is_the_tournament(temperature, layers, seed, sharpness):
    """At the temperature of the row, against the recursion in float64."""
    rows = fake_rows(5, temperature, seed=seed)
    logits = sharpness * torch.randn(5, 64, generator=torch.Generator().manual_seed(seed))
    marks = bits(secrets("synthid", "k"), rows.context(2)[:, None], torch.arange(64))
    law = (logits.double() / temperature).softmax(-1)
    for layer in range(layers):
        wins = (marks >> layer & 1).double()
        law = law * (1 + wins - (wins * law).sum(-1, keepdim=True))
        torch.testing.assert_close(law.sum(-1), torch.ones(5, dtype=torch.float64), rtol=1e-9, atol=1e-9)
    rows.generated.zero_()
    sampled = (SynthID(key="k", layers=layers).sample_logits(logits, rows) / temperature).softmax(-1)
    torch.testing.assert_close(sampled.double(), law, atol=2e-4, rtol=0)


def test_it_is_unbiased_over_keys():
    """The mean law of 20,000 keys, one a row, is the unmarked one; any single key is far from it."""
    law = torch.randn(1, 8, generator=torch.Generator().manual_seed(0)).softmax(-1).expand(20_000, 8)
    marks = bits(secrets("synthid", "k", 19_999)[:, None], torch.tensor([[[3, 4]]]), torch.arange(8))
    outcome = law * tournament(law, marks, 30).exp()
    error = outcome.std(0) / 20_000**0.5
    assert ((outcome.mean(0) - law[0]).abs() < 4.5 * error).all()
    assert (outcome - law).abs().sum(-1).mean() > 0.5


def test_a_certain_token_stays_certain_and_a_lost_one_leaves_a_law():
    logits = torch.full((1, 64), -1e4)
    logits[0, 7] = 0
    rows = fake_rows(1)
    rows.generated.zero_()
    marked = SynthID(key="k").sample_logits(logits, rows)
    assert marked.softmax(-1)[0, 7] == 1
    assert marked.logsumexp(-1).isfinite().all()


def test_greedy_rows_and_rows_without_a_window_are_unchanged():
    rows, logits = fake_rows(3, vocabulary=64), torch.randn(3, 64)
    rows.contexts, rows.generated = [[1, 2, 3], [4], [1, 2, 3]], torch.zeros(3, dtype=torch.long)
    rows.temperature[0] = 0
    marked = SynthID(key="k").sample_logits(logits, rows)
    assert torch.equal(marked[:2], logits[:2])
    assert not torch.equal(marked[2], logits[2])
    assert SynthID(key="k", layers=0).sample_logits(logits, rows) is logits


def test_a_context_is_marked_once_in_a_completion():
    """Row by row: came up in the completion, in the prompt only, never, too long ago."""
    rows, logits = fake_rows(4), torch.randn(4, 64)
    rows.contexts = [[5, 1, 2, 3, 1, 2], [5, 1, 2, 3, 1, 2], [5, 6, 2, 3, 1, 2], [1, 2, 4, 4, 3, 1, 2]]
    rows.generated = torch.tensor([3, 2, 3, 7])  # steps of this completion that came before
    marked = SynthID(key="k", history=4).sample_logits(logits, rows)
    assert [torch.equal(*pair) for pair in zip(marked, logits, strict=True)] == [True, False, False, False]
    again = SynthID(key="k", history=5).sample_logits(logits, rows)
    assert [torch.equal(*pair) for pair in zip(again, logits, strict=True)] == [True, False, False, True]


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_batches_do_not_matter(family):
    teacher, mark = tiny(family, seed=1), SynthID(key="k", ngram=2)
    alone = tokens(teacher, mark, batch_size=1)
    assert alone == tokens(teacher, mark, batch_size=4) == tokens(teacher, mark, batch_size=9)
    assert alone != tokens(teacher)
    assert tokens(teacher, mark, temperature=0.0) == tokens(teacher, temperature=0.0)
    idle = SynthID(key="k", layers=0)
    assert tokens(teacher, idle) == tokens(teacher)
    assert idle.audit(teacher, served(teacher, count=2), 1).p_value == 1


@pytest.mark.parametrize("ngram", [2, 3, 5])
def test_marked_text_is_found_and_other_text_is_not(teacher, proxy, ngram):
    mark = SynthID(key="k", ngram=ngram)
    found = mark.audit(teacher, served(teacher, mark), 20)
    assert found.p_value < 1e-6
    assert found.statistic > 0.52
    assert found.count > 400
    assert len(found.null) == 20
    assert min(found.null) > 1e-3
    for text in (served(teacher), served(proxy), served(teacher, SynthID(key="other", ngram=ngram))):
        assert mark.audit(teacher, text, 0).p_value > 1e-3


def test_wrong_keys_give_uniform_p_values(teacher):
    null = torch.tensor(SynthID(key="k").audit(teacher, served(teacher, count=30), 200).null)
    ranks = (torch.arange(200) + 0.5) / 200
    assert (null.sort().values - ranks).abs().max() < 1.63 / 200**0.5  # Kolmogorov's 99 % quantile


def test_p_is_the_binomial_tail_of_the_ones(teacher):
    found = SynthID(key="k", layers=7).audit(teacher, served(teacher, count=10), 0)
    trials = 7 * found.count
    assert found.p_value == pytest.approx(binom.sf(round(found.statistic * trials) - 1, trials, 0.5))


@pytest.mark.parametrize("bad", [{"key": None}, {"layers": 65}, {"ngram": 1}, {"history": -1}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        SynthID(**{"key": "k", **bad})
