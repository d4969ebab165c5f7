import pytest
import torch
from defense_fakes import fake_rows
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES, logprobs, served
from torch.nn.functional import cross_entropy

from defenses.hard_label import HardLabel
from defenses.text_only import TextOnly
from spiritsafe.objective import Targets
from student.topk_kl import TopKKL


def one_hot(honest):
    return torch.nn.functional.one_hot(honest.argmax(-1), honest.shape[-1]).float()


@given(seed=st.integers(0, 10**6), size=st.sampled_from([2, 40, 300]))
def test_all_mass_is_on_the_top_token(seed, size):
    honest = logprobs(seed, vocabulary=size)
    assert torch.equal(HardLabel().disclose(honest, fake_rows(5)).exp(), one_hot(honest))


def test_what_was_withheld_stays_withheld():
    hidden = TextOnly().disclose(logprobs(0), fake_rows(5))
    assert torch.equal(HardLabel().disclose(hidden, fake_rows(5)), hidden)


@pytest.mark.parametrize("missing", ["tail", "zero"])
def test_a_student_of_the_kl_learns_the_label(missing):
    honest, student = logprobs(0), torch.randn(5, 40, generator=torch.Generator().manual_seed(1))
    values, ids = HardLabel().disclose(honest, fake_rows(5)).topk(3, dim=-1)
    targets = Targets(torch.zeros(5, dtype=torch.long), torch.ones(5), ids, values)
    label = cross_entropy(student, honest.argmax(-1), reduction="sum")
    torch.testing.assert_close(TopKKL(missing=missing).loss(student, targets), label)


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_sampler(family):
    plain, shown = served(family, HardLabel())
    assert torch.equal(shown.exp(), one_hot(plain))
