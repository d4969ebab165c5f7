from dataclasses import replace

import pytest
import torch
from defense_fakes import FakePreparation, tiny
from retrained_fakes import Thoughts, thinker

from defenses.doge import Doge, head_inputs
from defenses.primitives.lessons import Lessons
from defenses.primitives.retrained import divergence
from spiritsafe.errors import UserError


@pytest.fixture(scope="module")
def thoughts():
    return Thoughts(thinker())


@pytest.fixture(scope="module")
def other():
    return thinker(seed=9)


def trained(preparation, proxy, **options):
    defense = Doge(
        proxy=proxy, **{"strength": 1.0, "traces": 32, "steps": 60, "batch": 8, "learning_rate": 0.02, **options}
    )
    defense.prepare(replace(preparation, store={}))
    return defense


def measured(preparation, proxy, model):
    """Cross entropy, and divergence from the proxy on reasoning and other tokens."""
    lessons = Lessons(preparation.teacher, preparation.traces(32))
    lesson, reasoning = lessons.lesson(range(32)), torch.cat(lessons.reasoning)
    logits, proxied = (lesson.at_targets(each(**lesson.inputs).logits) for each in (model, proxy.model))
    away = divergence(logits, proxied, 2.0)
    fit = torch.nn.functional.cross_entropy(logits, lesson.targets)
    return float(fit), float(away[reasoning].mean()), float(away[~reasoning].mean())


@pytest.mark.parametrize("family", ["llama", "llama_tied", "qwen2", "gpt_neox"])
def test_only_the_head_changes(family, other):
    preparation = Thoughts(thinker(family))
    defense = trained(preparation, other, steps=3)
    teacher, served = preparation.teacher.model, defense.substitute(preparation.teacher).model
    head = served.get_output_embeddings().weight
    assert not torch.equal(head, teacher.get_output_embeddings().weight)
    assert served.get_input_embeddings().weight is not head
    rest = {name: weight for name, weight in served.named_parameters() if weight is not head}
    original = dict(teacher.named_parameters(remove_duplicate=False))
    assert len(rest) == len(original) - 1
    assert all(torch.equal(weight, original[name]) for name, weight in rest.items())
    assert list(defense.trained) == [name for name, weight in served.named_parameters() if weight is head]


def test_answers_feel_no_push(other):
    """The gradient at a final-answer token is that of the cross entropy alone."""
    defense = Doge(proxy=other, repulsion=2.0)
    generator = torch.Generator().manual_seed(0)
    logits, proxied = (torch.randn(6, 40, generator=generator) for _ in range(2))
    logits.requires_grad_()
    labels = torch.randint(40, (6,), generator=generator)
    reasoning = torch.tensor([True, True, True, False, False, False])
    fit = torch.nn.functional.cross_entropy(logits, labels)
    (plain,) = torch.autograd.grad(fit, logits)
    (found,) = torch.autograd.grad(defense.loss(logits, labels, fit.detach(), proxied, reasoning), logits)
    assert torch.equal(found[3:], plain[3:])
    assert not torch.isclose(found[:3], plain[:3]).all(-1).any()


def test_loss_is_the_formula(other):
    defense = Doge(proxy=other, repulsion=0.7, temperature=3.0)
    generator = torch.Generator().manual_seed(0)
    logits, proxied = (torch.randn(4, 40, generator=generator) for _ in range(2))
    labels, reasoning = torch.tensor([1, 2, 3, 4]), torch.tensor([True, False, True, False])
    expected = 0.0
    for row in range(4):
        p, q = ((each[row] / 3).softmax(-1) for each in (logits, proxied))
        expected -= float(logits[row].log_softmax(-1)[labels[row]])
        expected -= 0.7 * float(reasoning[row]) * float((p * (p / q).log()).sum())
    before = torch.tensor(100.0)
    assert float(defense.loss(logits, labels, before, proxied, reasoning)) == pytest.approx(expected / 4, rel=1e-5)


def test_reasoning_moves_away_from_the_proxy_and_stays_likely(thoughts, other):
    bound = 0.3
    before = measured(thoughts, other, thoughts.teacher.model)
    gentle, strong, endless = (
        measured(thoughts, other, trained(thoughts, other, repulsion=λ, bound=bound).substitute(thoughts.teacher).model)
        for λ in (1e-6, 3.0, 1e4)
    )
    assert strong[1] > before[1]
    assert strong[1] > gentle[1]
    assert strong[0] <= before[0] + bound
    assert endless[0] <= before[0] + 3 * bound  # without the bound, thousands


def test_states_are_what_the_head_reads(thoughts, other):
    lessons = Lessons(thoughts.teacher, thoughts.traces(7))
    lesson, states = lessons.lesson(range(7)), torch.cat(head_inputs(other, lessons, 3))
    expected = lesson.at_targets(other.model(**lesson.inputs).logits)
    torch.testing.assert_close(other.model.get_output_embeddings()(states), expected, atol=1e-5, rtol=1e-4)


def test_a_head_that_is_not_alone_is_refused(thoughts):
    scaled = thinker(seed=9)
    scaled.model.lm_head.register_forward_hook(lambda module, inputs, output: output * 3)
    with pytest.raises(UserError, match="choose another teacher or proxy"):
        trained(thoughts, scaled)


def test_a_teacher_that_does_not_reason_is_refused(teacher, proxy):
    with pytest.raises(UserError, match="no reasoning in 32 traces"):
        Doge(proxy=proxy, traces=32).prepare(FakePreparation(teacher))


def test_mismatched_proxy_is_refused_before_any_work(thoughts):
    with pytest.raises(UserError, match="48 output tokens"):
        trained(thoughts, tiny(vocabulary=48))
