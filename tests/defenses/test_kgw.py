import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from marked_text import served, tokens
from scipy.stats import binom

from defenses.kgw import KGW
from spiritsafe.errors import UserError


@settings(max_examples=25, deadline=None)
@given(strength=st.floats(0.01, 20), share=st.floats(0.05, 0.95), window=st.integers(1, 3), seed=st.integers(0, 99))
def test_the_chosen_tokens_gain_delta_and_no_other_moves(strength, share, window, seed):
    rows, logits = fake_rows(5, seed=seed), torch.randn(5, 64, generator=torch.Generator().manual_seed(seed))
    gain = KGW(key="k", strength=strength, share=share, window=window).sample_logits(logits, rows) - logits
    assert (((gain - strength).abs() < 1e-5) | (gain == 0)).all()
    if 0.2 < share < 0.8:
        assert 0 < (gain > 0).double().mean() < 1


def test_the_list_hangs_on_key_and_window_alone():
    logits = torch.zeros(2, 300)
    near, far = fake_rows(2), fake_rows(2)
    near.contexts, far.contexts = [[1, 2, 3], [9, 8, 2, 3]], [[1, 3, 2], [4, 4]]
    first, second = KGW(key="k").sample_logits(logits, near)
    assert torch.equal(first, second)
    swapped, _ = KGW(key="k").sample_logits(logits, far)
    other, _ = KGW(key="other").sample_logits(logits, near)
    assert not torch.equal(first, swapped)
    assert not torch.equal(first, other)


def test_a_row_without_a_window_is_unchanged():
    rows, logits = fake_rows(2), torch.randn(2, 64)
    rows.contexts = [[3], [4, 5]]
    changed = KGW(key="k").sample_logits(logits, rows)
    assert torch.equal(changed[0], logits[0])
    assert not torch.equal(changed[1], logits[1])


def test_strength_zero_touches_nothing():
    logits = torch.randn(5, 64)
    assert KGW(key="k", strength=0).sample_logits(logits, fake_rows()) is logits


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_batches_do_not_matter(family):
    teacher, mark = tiny(family, seed=1), KGW(key="k", strength=4)
    alone = tokens(teacher, mark, batch_size=1)
    assert alone == tokens(teacher, mark, batch_size=4) == tokens(teacher, mark, batch_size=9)
    assert alone != tokens(teacher)


def test_marked_text_is_found_and_other_text_is_not(teacher, proxy):
    mark = KGW(key="k", strength=2)
    found = mark.audit(teacher, served(teacher, mark), 20)
    assert found.p_value < 1e-6
    assert found.statistic > 0.35
    assert found.count > 500
    assert len(found.null) == 20
    assert min(found.null) > 1e-3
    for text in (served(teacher), served(proxy), served(teacher, KGW(key="other", strength=2))):
        assert mark.audit(teacher, text, 0).p_value > 1e-3


def test_p_is_the_binomial_tail_of_the_greens(teacher):
    mark = KGW(key="k", share=0.4, window=1)
    found = mark.audit(teacher, served(teacher, count=10), 0)
    assert found.p_value == pytest.approx(binom.sf(round(found.statistic * found.count) - 1, found.count, 0.4))


def test_longer_windows_are_audited_as_they_are_marked(teacher):
    mark = KGW(key="k", strength=4, window=4)
    assert mark.audit(teacher, served(teacher, mark), 0).p_value < 1e-6


def test_delta_is_given_or_calibrated(teacher):
    preparation = FakePreparation(teacher, accuracy=lambda stack: 0.9 - 0.02 * sum(each.strength for each in stack))
    given, found = KGW(key="k"), KGW(key="k", strength=None, utility_loss=0.1, evaluations=12)
    given.prepare(preparation)
    assert preparation.utilities == 0
    assert given.strength == 2
    found.prepare(preparation)
    assert found.strength == pytest.approx(5, rel=0.06)


@pytest.mark.parametrize("bad", [{"key": None}, {"share": 1.0}, {"window": 0}, {"strength": -1.0}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        KGW(**{"key": "k", **bad})
