import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from test_defended_sampling import serve, tokens

from defenses.antidistillation import Antidistillation
from defenses.antidistillation_margin import AntidistillationMargin
from spiritsafe.defense import overrides
from spiritsafe.errors import UserError


def made(teacher, proxy, kind=AntidistillationMargin, **knobs):
    defense = kind(proxy=proxy, traces=8, **knobs)
    defense.prepare(FakePreparation(teacher))
    return defense


@pytest.fixture(scope="module")
def prepared(teacher, proxy):
    return made(teacher, proxy)


@settings(max_examples=40, deadline=None)
@given(strength=st.floats(1e-3, 1e4), seed=st.integers(0, 999))
def test_every_top_token_is_kept(teacher, prepared, strength, seed):
    batch = fake_rows(6, seed=seed)
    logprobs = batch.follow(teacher.model).log_softmax(-1)
    prepared.strength = strength
    shown = prepared.disclose(logprobs, batch)
    assert torch.equal(shown.argmax(-1), logprobs.argmax(-1))
    torch.testing.assert_close(shown.exp().sum(-1), torch.ones(6))
    delta = prepared.delta(batch)
    assert (((shown.exp() - logprobs.exp()) * delta).sum(-1) > 0).all()


def test_is_antidistillation_where_no_top_token_is_at_stake(teacher, proxy, prepared):
    prepared.strength = 0.5
    batch = fake_rows(40, temperature=1.0)
    logprobs = batch.follow(teacher.model).log_softmax(-1)
    tilted = made(teacher, proxy, Antidistillation, strength=0.5).sample_logits(logprobs, batch).log_softmax(-1)
    leads = tilted.topk(2).values.diff(dim=-1)[:, 0]
    free = (tilted.argmax(-1) == logprobs.argmax(-1)) & (leads < -1e-3)
    assert 10 < free.sum() < 40
    shown = prepared.disclose(logprobs, batch)
    torch.testing.assert_close(shown[free], tilted[free], atol=1e-4, rtol=1e-4)
    assert (shown[~free] - tilted[~free]).abs().max() > 1e-2


def test_the_temperature_does_not_change_what_is_shown(teacher, prepared):
    """What is shown is the distribution before the temperature, and so is the tilt; greedy callers see it too."""
    prepared.strength = 3.0
    logprobs = fake_rows().follow(teacher.model).log_softmax(-1)
    shown = [prepared.disclose(logprobs, fake_rows(temperature=temperature)) for temperature in (0.0, 0.7, 2.0)]
    assert torch.equal(shown[0], shown[1])
    assert torch.equal(shown[0], shown[2])
    assert not torch.equal(shown[0], logprobs)


def test_zero_touches_nothing(teacher, proxy):
    batch, logprobs = fake_rows(), torch.randn(5, 64).log_softmax(-1)
    defense = made(teacher, proxy, strength=0)
    assert defense.disclose(logprobs, batch) is logprobs
    assert batch.follows == defense.cost().forwards == 0
    assert serve(teacher, defense, top_logprobs=5) == serve(teacher, top_logprobs=5)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_under_the_sampler(family):
    """No token that is sampled changes and no top token that is shown; the rest does, alike in all batches."""
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    defense, plain = made(teacher, proxy, strength=5.0), serve(teacher, top_logprobs=5)
    replies = [serve(teacher, defense, batch_size=size, top_logprobs=5) for size in (1, 4, 9)]
    for served in replies:
        assert tokens(served) == tokens(plain)
        for first, other, honest in zip(replies[0], served, plain, strict=True):
            assert [ids[0] for ids in other.logprobs.ids] == [ids[0] for ids in honest.logprobs.ids]
            values = torch.tensor([each.logprobs.values for each in (first, other, honest)])
            torch.testing.assert_close(values[0], values[1], atol=1e-2, rtol=0)
            assert (values[0] - values[2]).abs().max() > 0.1
    assert not overrides(defense, "sample_logits")


@pytest.mark.parametrize("bad", [{"strength": None}, {"margin": -1.0}, {"strength": -1.0}, {"epsilon": 0.0}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        AntidistillationMargin(proxy=proxy, **bad)


def test_nothing_is_calibrated(teacher, proxy):
    preparation = FakePreparation(teacher)
    AntidistillationMargin(proxy=proxy, traces=4).prepare(preparation)
    assert preparation.utilities == 0
