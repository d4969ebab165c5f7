from dataclasses import dataclass

import pytest
import torch
from defense_fakes import FakePreparation, tiny
from hypothesis import given
from hypothesis import strategies as st
from retrained_fakes import Thoughts, thinker

from defenses.doge import Doge
from defenses.nasty_teacher import NastyTeacher
from defenses.primitives.retrained import Repelled, Retrained, divergence
from defenses.undo import Undo
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from teacher.sampler import Sampler

FAMILIES = ["llama", "llama_tied", "qwen2", "gpt_neox"]
SHORT = {"traces": 12, "steps": 4, "batch": 4, "learning_rate": 0.02}


def made(name, **options):
    options = {"strength": 1.0, **SHORT, **options}
    if name == "doge":
        return Doge(proxy=thinker(seed=9), **options)
    return {"nasty_teacher": NastyTeacher, "undo": Undo}[name](**options)


NAMES = ["doge", "nasty_teacher", "undo"]


def serve(model, *defenses):
    requests = [
        Request(f"r{i}", (Message("user", f"w{i} w{i + 3}"),), Sampling(max_tokens=10), top_logprobs=3)
        for i in range(7)
    ]
    return Sampler(model, seed=3, batch_size=4, defenses=defenses).respond(requests)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", NAMES)
def test_strength_goes_from_the_teacher_to_what_was_trained(name, family):
    teacher, defense = thinker(family), made(name)
    before = {key: weight.clone() for key, weight in teacher.model.state_dict().items()}
    defense.prepare(Thoughts(teacher))
    plain, changed = serve(teacher), serve(teacher, defense)
    assert changed != plain
    served = defense.substitute(teacher)
    weights = dict(served.model.named_parameters(remove_duplicate=False))
    original = dict(teacher.model.named_parameters(remove_duplicate=False))
    for key, trained in defense.trained.items():
        torch.testing.assert_close(weights[key], trained)
    assert served.digest != teacher.digest
    defense.strength = 0.5
    half = defense.substitute(teacher)
    assert half.model is served.model  # one copy, changed in place
    assert half.digest != served.digest
    for key, trained in defense.trained.items():
        torch.testing.assert_close(weights[key], (original[key] + trained) / 2)
    defense.strength = 0.0
    assert defense.substitute(teacher) is teacher
    assert serve(teacher, defense) == plain
    assert all(torch.equal(weight, before[key]) for key, weight in teacher.model.state_dict().items())
    assert not any(weight.requires_grad for weight in served.model.parameters())


@pytest.mark.parametrize("name", NAMES)
def test_strength_zero_trains_nothing(name):
    teacher, defense = thinker(), made(name, strength=0.0)
    preparation = Thoughts(teacher)
    defense.prepare(preparation)
    assert preparation.makes == preparation.utilities == 0
    assert serve(teacher, defense) == serve(teacher)


@pytest.mark.parametrize("name", NAMES)
def test_what_was_trained_is_kept_and_the_seed_decides_it(name):
    teacher = thinker()
    preparation = Thoughts(teacher)
    first, restored, again, other = (made(name) for _ in range(4))
    first.prepare(preparation)
    restored.train = None  # would fail
    restored.prepare(preparation)
    assert preparation.makes == 1
    assert serve(teacher, restored) == serve(teacher, first)
    again.prepare(Thoughts(teacher))
    other.prepare(Thoughts(teacher, seed=1))
    assert all(torch.equal(first.trained[key], again.trained[key]) for key in first.trained)
    assert any(not torch.equal(first.trained[key], other.trained[key]) for key in first.trained)
    assert first.summary()["relative_distance"] == pytest.approx(again.summary()["relative_distance"])
    assert first.cost().forwards == first.cost().tokens == 0


@pytest.mark.parametrize("name", NAMES)
def test_strength_is_calibrated_within_its_interval(name):
    teacher, defense = thinker(), made(name, strength=None, evaluations=9, utility_loss=0.1)
    served = []

    def accuracy(defenses):
        for each in defenses:
            served.append(each.substitute(teacher).digest)
        return 0.9 - 0.1 * sum(each.strength for each in defenses)

    preparation = Thoughts(teacher, accuracy=accuracy)
    defense.prepare(preparation)
    assert defense.strength == pytest.approx(1.0, rel=0.05)
    assert preparation.makes == 1
    assert len(set(served)) == len(served) > 2


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stack_adds_what_each_has_learned(family):
    """Weights that the second has trained too are moved from where the first has left them."""
    teacher = thinker(family)
    preparation = Thoughts(teacher)
    doge, nasty = made("doge"), made("nasty_teacher")
    for defense in (doge, nasty):
        defense.prepare(preparation)
    original = dict(teacher.model.named_parameters(remove_duplicate=False))
    for stack in ((doge, nasty), (nasty, doge)):
        served = teacher
        for defense in stack:
            served = defense.substitute(served)
        head, own = served.model.get_output_embeddings().weight, teacher.model.get_output_embeddings().weight
        name = next(name for name in doge.trained if name.endswith("weight"))
        tied = nasty.trained.get(name, next(iter(nasty.trained.values())))
        torch.testing.assert_close(head, doge.trained[name] + tied - own, atol=1e-5, rtol=1e-4)
        body = next(name for name in nasty.trained if "layers.0" in name)
        torch.testing.assert_close(dict(served.model.named_parameters())[body], nasty.trained[body])
        assert original[body] is not None


@given(seed=st.integers(0, 999), temperature=st.floats(0.2, 8.0))
def test_divergence_is_that_of_torch(seed, temperature):
    generator = torch.Generator().manual_seed(seed)
    ours, theirs = (torch.randn(3, 11, generator=generator) for _ in range(2))
    first, second = (torch.distributions.Categorical(logits=each / temperature) for each in (ours, theirs))
    expected = torch.distributions.kl_divergence(first, second)
    torch.testing.assert_close(divergence(ours, theirs, temperature), expected, atol=1e-6, rtol=1e-3)


def test_the_push_rests_beyond_the_bound():
    @dataclass(kw_only=True)
    class Plain(Repelled):
        repulsion: float = 1.0
        temperature: float = 1.0

    push = torch.tensor(7.0)
    loss = Plain(bound=0.5)
    assert loss.repelled(torch.tensor(1.5), torch.tensor(1.0), push) == 1.5 - 7
    assert loss.repelled(torch.tensor(1.6), torch.tensor(1.0), push) == torch.tensor(1.6)


@pytest.mark.parametrize("bad", [{"traces": 0}, {"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}, {"strength": -1.0}])
@pytest.mark.parametrize("name", NAMES)
def test_bad_knobs_are_refused(name, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        made(name, **bad)


@pytest.mark.parametrize("bad", [{"repulsion": 0.0}, {"temperature": 0.0}, {"bound": 0.0}])
@pytest.mark.parametrize("name", ["doge", "nasty_teacher"])
def test_bad_knobs_of_the_push_are_refused(name, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        made(name, **bad)


@pytest.mark.parametrize("name", ["doge", "nasty_teacher"])
def test_tasks_are_those_trained_on(name):
    teacher = thinker()
    every, one, same = made(name), made(name, tasks=["sums"]), made(name, tasks=["sums", "programs"])
    for defense in (every, one, same):
        defense.prepare(Thoughts(teacher))
    first = next(iter(every.trained))
    assert torch.equal(every.trained[first], same.trained[first])
    assert not torch.equal(every.trained[first], one.trained[first])
    with pytest.raises(UserError, match=r"a defense asks for traces of \['poems'\]"):
        made(name, tasks=["poems"]).prepare(Thoughts(teacher))


def test_training_needs_nothing_from_the_callers_gradient_mode():
    with torch.no_grad():
        defense = made("nasty_teacher")
        defense.prepare(FakePreparation(tiny()))
    assert isinstance(defense, Retrained)
    assert defense.summary()["relative_distance"] > 0
