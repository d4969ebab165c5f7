import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, mean_nll, tiny
from hypothesis import given, settings
from hypothesis import strategies as st

from defenses.antidistillation import Antidistillation
from defenses.primitives.directional import DirectionalScore
from spiritsafe.errors import UserError


@pytest.fixture(scope="module")
def prepared(teacher, proxy):
    defense = Antidistillation(proxy=proxy, strength=3.0, traces=12)
    defense.prepare(FakePreparation(teacher))
    return defense


def test_learning_the_highest_scored_token_hurts_and_the_lowest_helps(teacher, proxy, prepared):
    """The sign that the whole defense stands on, by doing what a student would do: one step of SGD."""
    one = fake_rows(1)
    score = prepared.delta(one)[0]
    traces = FakePreparation(teacher).traces(12)
    weights = {name: p.detach().clone().requires_grad_() for name, p in proxy.model.named_parameters()}
    before = float(mean_nll(proxy.model, weights, traces, proxy.prompt_ids).detach())
    after = {}
    for token in (score.argmax(), score.argmin()):
        out = torch.func.functional_call(proxy.model, weights, kwargs={"input_ids": torch.tensor([one.contexts[0]])})
        loss = -out.logits[0, -1].log_softmax(-1)[token]
        steps = torch.autograd.grad(loss, list(weights.values()))
        moved = {name: weights[name] - 1e-3 * step for name, step in zip(weights, steps, strict=True)}
        after[int(token)] = float(mean_nll(proxy.model, moved, traces, proxy.prompt_ids).detach())
    assert after[int(score.argmax())] > before > after[int(score.argmin())]


@settings(max_examples=15, deadline=None)
@given(temperature=st.floats(0.1, 2.0), strength=st.floats(0.01, 20.0), seed=st.integers(0, 99))
def test_what_is_sampled_is_equation_11(teacher, prepared, temperature, strength, seed):
    batch = fake_rows(4, temperature, seed=seed)
    logits = batch.follow(teacher.model)
    prepared.strength = strength
    sampled = (prepared.sample_logits(logits, batch) / temperature).softmax(-1)
    λ, g = strength / prepared.gradient_norm, prepared.gradient_norm  # the paper's λ goes with its unnormalised g
    delta = g * DirectionalScore(prepared.proxy, prepared.score.direction, prepared.score.step)(batch)
    expected = (logits.log_softmax(-1) / temperature + λ * delta).softmax(-1)
    torch.testing.assert_close(sampled, expected, atol=1e-5, rtol=1e-3)
    assert torch.isfinite(sampled).all()
    torch.testing.assert_close(sampled.sum(-1), torch.ones(4))


def test_greedy_rows_are_unchanged(teacher, prepared):
    batch = fake_rows(4, temperature=0.0)
    logits = batch.follow(teacher.model)
    prepared.strength = 50.0
    assert torch.equal(prepared.sample_logits(logits, batch), logits)


def test_tilt_raises_the_expected_score(teacher, prepared):
    batch = fake_rows(5)
    logits, delta = batch.follow(teacher.model), prepared.delta(batch)
    means = []
    for strength in (0.0, 1.0, 5.0, 25.0):
        prepared.strength = strength
        means.append((prepared.sample_logits(logits, batch).softmax(-1) * delta).sum(-1))
    assert (torch.stack(means).diff(dim=0) > 0).all()


def test_strength_zero_touches_nothing(teacher, proxy):
    defense, batch = Antidistillation(proxy=proxy, strength=0), fake_rows()
    preparation = FakePreparation(teacher)
    defense.prepare(preparation)
    logits = torch.randn(5, 64)
    assert defense.sample_logits(logits, batch) is logits
    assert batch.follows == 0
    assert preparation.utilities == 0


def test_methods_agree(teacher, proxy):
    found = []
    for method in ("finite_difference", "jvp"):
        defense = Antidistillation(proxy=proxy, strength=1.0, traces=8, method=method)
        defense.prepare(FakePreparation(teacher))
        found.append(defense.delta(fake_rows(6)))
    torch.testing.assert_close(found[0], found[1], atol=2e-3, rtol=1e-2)


def test_strength_is_calibrated_to_the_utility_loss(teacher, proxy):
    def accuracy(defenses):
        return 0.9 - 0.02 * sum(defense.strength for defense in defenses)

    defense = Antidistillation(proxy=proxy, utility_loss=0.1, traces=4, evaluations=12)
    preparation = FakePreparation(teacher, accuracy=accuracy)
    defense.prepare(preparation)
    assert defense.strength == pytest.approx(5, rel=0.06)
    summary = defense.summary()
    assert summary["undefended_utility"] == 0.9
    assert summary["utility"] == pytest.approx(0.8, abs=0.005)
    assert summary["target_reached"]
    assert len(summary["evaluations"]) == preparation.utilities - 1
    assert summary["gradient_norm"] > 0


def test_given_strength_skips_calibration(teacher, proxy):
    preparation = FakePreparation(teacher)
    defense = Antidistillation(proxy=proxy, strength=2.0, traces=4)
    defense.prepare(preparation)
    assert preparation.utilities == 0
    assert defense.strength == 2.0


def test_mismatched_proxy_is_refused_before_any_work(teacher):
    preparation = FakePreparation(teacher)
    with pytest.raises(UserError, match="48 output tokens"):
        Antidistillation(proxy=tiny(vocabulary=48)).prepare(preparation)
    assert preparation.utilities == 0


@pytest.mark.parametrize("bad", [{"epsilon": 0.0}, {"strength": -1.0}, {"method": "exact"}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Antidistillation(proxy=proxy, **bad)
