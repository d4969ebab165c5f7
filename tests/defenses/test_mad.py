import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from test_defended_sampling import serve, tokens

from defenses.mad import Mad, deviation
from spiritsafe.errors import UserError


def last_layer_gradients(proxy, context):
    """G in the weights of the output head, one backward pass a token: [vocabulary, weights]."""
    name = next(n for n, p in proxy.model.named_parameters() if p is proxy.model.get_output_embeddings().weight)
    weight = proxy.model.get_output_embeddings().weight.detach().clone().requires_grad_()
    out = torch.func.functional_call(proxy.model, {name: weight}, kwargs={"input_ids": torch.tensor([context])})
    rows = [torch.autograd.grad(each, weight, retain_graph=True)[0] for each in out.logits[0, -1].log_softmax(-1)]
    return torch.stack(rows).flatten(1).double()


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_the_closed_form_is_the_angle_between_gradients(family):
    teacher, proxy, batch = tiny(family, seed=1), tiny(family, seed=2), fake_rows(3)
    honest, guess = (batch.follow(each.model).double().softmax(-1) for each in (teacher, proxy))
    found = deviation(honest, guess) / (honest - guess).norm(dim=-1, keepdim=True)
    for row, context in enumerate(batch.contexts):
        gradient = last_layer_gradients(proxy, context)
        target = gradient.T @ honest[row]
        angles = torch.cosine_similarity(gradient, target[None], dim=-1)  # row j is Gᵀe_j
        torch.testing.assert_close(-found[row], angles, atol=1e-5, rtol=1e-4)
        units, unit = torch.nn.functional.normalize(gradient, dim=-1), torch.nn.functional.normalize(target, dim=0)
        assert int(found[row].argmax()) == int(((units - unit) ** 2).sum(-1).argmax())


def test_shows_a_step_towards_the_farthest_vertex(teacher, proxy):
    batch = fake_rows(6)
    honest, guess = (batch.follow(each.model).softmax(-1) for each in (teacher, proxy))
    shown = Mad(proxy=proxy, radius=0.5).disclose(honest.log(), batch).exp()
    assert torch.equal((shown - honest).argmax(-1), deviation(honest, guess.double()).argmax(-1))
    torch.testing.assert_close((shown - honest).abs().sum(-1), torch.full((6,), 0.5))
    before, after = (torch.cosine_similarity(each - guess, honest - guess) for each in (honest, shown))
    assert (after < before - 0.01).all()


@settings(max_examples=40, deadline=None)
@given(
    radius=st.floats(1e-3, 2.0), seed=st.integers(0, 999), heat=st.floats(0.05, 10), size=st.sampled_from([300, 5000])
)
@pytest.mark.parametrize("oracle", ["extreme", "argmax"])
def test_stays_within_its_budget(proxy, oracle, radius, seed, heat, size):
    generator = torch.Generator().manual_seed(seed)
    logprobs = (heat * torch.randn(4, size, generator=generator)).log_softmax(-1)
    batch = fake_rows(4)
    batch.follow = lambda model: heat * torch.randn(4, size, generator=generator)
    shown = Mad(proxy=proxy, radius=radius, oracle=oracle).disclose(logprobs, batch)
    assert not shown.isnan().any()
    torch.testing.assert_close(shown.exp().sum(-1), torch.ones(4), atol=1e-5, rtol=0)
    assert ((shown.exp() - logprobs.exp()).abs().sum(-1) <= radius + 1e-5).all()
    if oracle == "argmax":
        assert torch.equal(shown.argmax(-1), logprobs.argmax(-1))


def test_the_argmax_oracle_goes_as_far_as_it_may(teacher, proxy):
    batch = fake_rows(20)
    logprobs = batch.follow(teacher.model).log_softmax(-1)
    free, kept = (
        Mad(proxy=proxy, radius=1.0, oracle=oracle).disclose(logprobs, batch) for oracle in ("extreme", "argmax")
    )
    cut = free.argmax(-1) != logprobs.argmax(-1)
    assert cut.any()
    torch.testing.assert_close(kept[~cut], free[~cut])
    leads = kept.exp().topk(2).values.diff(dim=-1)[cut]
    torch.testing.assert_close(leads, torch.full_like(leads, -1e-5), atol=1e-6, rtol=0)


def test_equal_tops_stay_as_they_are(proxy):
    """No lead, nothing to give: the first of the two stays the one that is shown."""
    logprobs = torch.tensor([[0.4, 0.4, 0.2] + [0.0] * 61]).log()
    batch = fake_rows(1)
    batch.follow = lambda model: torch.tensor([[-3.0, 3.0, 0.0] + [-9.0] * 61])  # farthest: the second
    assert torch.equal(Mad(proxy=proxy, oracle="argmax").disclose(logprobs, batch), logprobs.exp().log())
    assert Mad(proxy=proxy, oracle="extreme").disclose(logprobs, batch).argmax() == 1


def test_zero_touches_nothing(teacher, proxy):
    batch, logprobs = fake_rows(), torch.randn(5, 64).log_softmax(-1)
    defense = Mad(proxy=proxy, radius=0)
    assert defense.disclose(logprobs, batch) is logprobs
    assert batch.follows == defense.cost().forwards == 0
    assert serve(teacher, defense, top_logprobs=5) == serve(teacher, top_logprobs=5)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_under_the_sampler(family):
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    defense, plain = Mad(proxy=proxy), serve(teacher, top_logprobs=5)
    defense.prepare(FakePreparation(teacher))
    replies = [serve(teacher, defense, batch_size=size, top_logprobs=5) for size in (1, 4, 9)]
    for served in replies:
        assert tokens(served) == tokens(plain)
        for first, other, honest in zip(replies[0], served, plain, strict=True):
            assert first.logprobs.ids == other.logprobs.ids != honest.logprobs.ids
            values = torch.tensor([first.logprobs.values, other.logprobs.values])
            torch.testing.assert_close(values[0], values[1], atol=1e-4, rtol=0)


@pytest.mark.parametrize("bad", [{"radius": -0.1}, {"radius": 2.1}, {"oracle": "best"}, {"margin": -1.0}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Mad(proxy=proxy, **bad)


def test_a_proxy_with_another_vocabulary_is_refused(teacher):
    with pytest.raises(UserError, match="48 output tokens"):
        Mad(proxy=tiny(vocabulary=48)).prepare(FakePreparation(teacher))
