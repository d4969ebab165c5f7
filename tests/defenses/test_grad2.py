import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, mean_nll, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from test_defended_sampling import serve, tokens

import defenses.antidistillation
import defenses.grad2
from defenses.antidistillation import Antidistillation
from defenses.grad2 import Grad2
from defenses.primitives.gradient import trace_gradient
from spiritsafe.errors import UserError


def made(teacher, proxy, **knobs):
    defense = Grad2(proxy=proxy, traces=8, **knobs)
    defense.prepare(FakePreparation(teacher))
    return defense


def gradients(proxy, context):
    """G, one backward pass a token: [vocabulary, all weights]."""
    weights = {name: p.detach().clone().requires_grad_() for name, p in proxy.model.named_parameters()}
    out = torch.func.functional_call(proxy.model, weights, kwargs={"input_ids": torch.tensor([context])})
    rows = [
        torch.autograd.grad(value, list(weights.values()), retain_graph=True)
        for value in out.logits[0, -1].log_softmax(-1)
    ]
    return torch.stack([torch.cat([part.flatten() for part in row]) for row in rows])


def released(honest, gradient, radius, override_grad):
    """As the released code has it: Gᵀy' is moved *against* the override, in a loop over classes."""
    score = gradient @ override_grad
    order, shown = score.argsort(), honest.clone()
    give = order[0]
    room = min(1 - float(honest[give]), radius / 2)
    for take in reversed(order[1:].tolist()):
        moved = min(room, float(shown[take]))
        shown[take] -= moved
        shown[give] += moved
        room -= moved
    return shown


@pytest.mark.parametrize("radius", [0.1, 0.5, 2.0])
def test_is_the_released_code_with_its_sign(teacher, proxy, radius):
    defense, batch = made(teacher, proxy, radius=radius), fake_rows(3)
    logprobs = batch.follow(teacher.model).log_softmax(-1)
    shown = defense.disclose(logprobs, batch).exp()
    for row, context in enumerate(batch.contexts):
        gradient, honest = gradients(proxy, context), logprobs[row].exp()
        towards = gradient.sum(-1)  # ⟨1, G_v⟩
        expected = released(honest, gradient, radius, -torch.ones(gradient.shape[1]))
        assert float(shown[row] @ towards) == pytest.approx(float(expected @ towards), rel=1e-3)
        assert float(shown[row] @ towards) > float(honest @ towards)
        assert int((shown[row] - honest).argmax()) == int(towards.argmax())


def step(proxy, context, probabilities):
    """The weights after one step of SGD on the cross entropy to these probabilities."""
    weights = {name: p.detach().clone().requires_grad_() for name, p in proxy.model.named_parameters()}
    out = torch.func.functional_call(proxy.model, weights, kwargs={"input_ids": torch.tensor([context])})
    loss = -(probabilities * out.logits[0, -1].log_softmax(-1)).sum()
    steps = torch.autograd.grad(loss, list(weights.values()))
    return {name: weights[name].detach() - 1e-3 * each for name, each in zip(weights, steps, strict=True)}


@pytest.mark.parametrize("target", ["ones", "gradient"])
def test_a_student_that_learns_it_goes_where_it_is_sent(teacher, proxy, target):
    defense, batch = made(teacher, proxy, target=target), fake_rows(4)
    traces = FakePreparation(teacher).traces(8)
    honest = batch.follow(teacher.model).softmax(-1)
    shown = defense.disclose(honest.log(), batch).exp()

    def reached(weights):
        if target == "ones":
            return float(sum(weight.double().sum() for weight in weights.values()))
        return float(mean_nll(proxy.model, weights, traces, proxy.prompt_ids))

    for row, context in enumerate(batch.contexts):
        assert reached(step(proxy, context, shown[row])) > reached(step(proxy, context, honest[row]))


@settings(max_examples=25, deadline=None)
@given(radius=st.floats(1e-3, 2.0), seed=st.integers(0, 999), size=st.sampled_from([300, 5000]))
def test_stays_within_its_budget(proxy, radius, seed, size):
    generator = torch.Generator().manual_seed(seed)
    logprobs = (3 * torch.randn(4, size, generator=generator)).log_softmax(-1)
    defense = Grad2(proxy=proxy, radius=radius)
    defense.score = lambda rows: torch.randn(4, size, generator=generator)
    shown = defense.disclose(logprobs, fake_rows(4)).exp()
    assert (shown >= 0).all()
    torch.testing.assert_close(shown.sum(-1), torch.ones(4), atol=1e-5, rtol=0)
    assert ((shown - logprobs.exp()).abs().sum(-1) <= radius + 1e-5).all()


def test_holds_for_a_large_vocabulary(proxy):
    logprobs = torch.randn(2, 150_000, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    defense = Grad2(proxy=proxy, radius=1.0)
    defense.score = lambda rows: torch.randn(2, 150_000, generator=torch.Generator().manual_seed(1))
    shown = defense.disclose(logprobs, fake_rows(2)).exp()
    torch.testing.assert_close(shown.sum(-1), torch.ones(2), atol=1e-4, rtol=0)
    torch.testing.assert_close((shown - logprobs.exp()).abs().sum(-1), torch.ones(2), atol=1e-4, rtol=0)


@pytest.mark.parametrize("scale", [1 / 8, 1e4])
def test_the_length_of_the_gradient_does_not_matter(teacher, proxy, monkeypatch, scale):
    """A gradient divided by the number of processes, as one released pipeline saves it, points where it pointed."""
    batch = fake_rows(4)
    logprobs = batch.follow(teacher.model).log_softmax(-1)
    tilt = Antidistillation(proxy=proxy, strength=3.0, traces=8)
    tilt.prepare(FakePreparation(teacher))
    before = made(teacher, proxy, target="gradient").disclose(logprobs, batch), tilt.sample_logits(logprobs, batch)

    def scaled(*given):
        return {name: scale * tensor for name, tensor in trace_gradient(*given).items()}

    for module in (defenses.grad2, defenses.antidistillation):
        monkeypatch.setattr(module, "trace_gradient", scaled)
    tilt.prepare(FakePreparation(teacher))
    after = made(teacher, proxy, target="gradient").disclose(logprobs, batch), tilt.sample_logits(logprobs, batch)
    torch.testing.assert_close(after[0].exp(), before[0].exp(), atol=1e-5, rtol=0)
    torch.testing.assert_close(after[1], before[1], atol=1e-2, rtol=0)


def test_zero_touches_nothing(teacher, proxy):
    batch, logprobs = fake_rows(), torch.randn(5, 64).log_softmax(-1)
    defense = made(teacher, proxy, radius=0)
    assert defense.disclose(logprobs, batch) is logprobs
    assert batch.follows == defense.cost().forwards == 0
    assert defense.score is None
    assert serve(teacher, defense, top_logprobs=5) == serve(teacher, top_logprobs=5)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_under_the_sampler(family):
    """The optimum of a linear program jumps where two scores tie, so rounding may decide at a few positions."""
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    defense, plain = made(teacher, proxy), positions(serve(teacher, top_logprobs=5))
    replies = [serve(teacher, defense, batch_size=size, top_logprobs=5) for size in (1, 4, 9)]
    first = positions(replies[0])
    for served in replies:
        assert tokens(served) == tokens(serve(teacher))
        assert sum(close(one, other) for one, other in zip(first, positions(served), strict=True)) > 0.95 * len(first)
    assert sum(close(one, other) for one, other in zip(first, plain, strict=True)) < 0.05 * len(first)


def positions(replies):
    """What is shown at each position of all replies, by token id."""
    shown = [reply.logprobs for reply in replies]
    return [dict(zip(*pair, strict=True)) for each in shown for pair in zip(each.ids, each.values, strict=True)]


def close(one, other):
    return one.keys() == other.keys() and all(abs(one[token] - other[token]) < 1e-4 for token in one)


@pytest.mark.parametrize("bad", [{"radius": -0.1}, {"radius": 2.1}, {"target": "twos"}, {"epsilon": 0.0}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Grad2(proxy=proxy, **bad)


def test_a_proxy_with_another_vocabulary_is_refused(teacher):
    with pytest.raises(UserError, match="48 output tokens"):
        made(teacher, tiny(vocabulary=48))
