import math
from dataclasses import replace

import pytest
import torch
from retrained_fakes import Thoughts, thinker

from defenses.primitives.lessons import Lessons
from defenses.primitives.retrained import trainable
from defenses.undo import Undo, shake
from spiritsafe.errors import UserError

SHORT = {"strength": 1.0, "traces": 24, "steps": 25, "batch": 8, "learning_rate": 0.01}


def trained(preparation, **options):
    defense = Undo(**{**SHORT, **options})
    defense.prepare(replace(preparation, store={}))
    return defense


def fits(preparation, model):
    """Cross entropy of each task's traces."""
    found = {}
    for task in preparation.tasks:
        lesson = Lessons(preparation.teacher, preparation.traces(24, [task])).lesson(range(24))
        logits = lesson.at_targets(model(**lesson.inputs).logits)
        found[task] = float(torch.nn.functional.cross_entropy(logits, lesson.targets))
    return found


@pytest.fixture(scope="module")
def knowing():
    """A teacher that has learned both tasks."""
    preparation = Thoughts(thinker())
    lessons = Lessons(preparation.teacher, preparation.traces(48))
    model = preparation.teacher.model.requires_grad_(True)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for step in range(60):
        lesson = lessons.lesson([(8 * step + row) % 48 for row in range(8)])
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(lesson.at_targets(model(**lesson.inputs).logits), lesson.targets).backward()
        optimizer.step()
    model.requires_grad_(False)
    return preparation


@pytest.mark.parametrize(
    "options",
    [{"alpha": 0.0}, {}, {"alpha": 0.6, "beta": 0.1, "steps": 50}, {"alpha": 0.0, "method": "gradient_difference"}],
)
def test_forgets_what_it_should_and_keeps_the_rest(knowing, options):
    before = fits(knowing, knowing.teacher.model)
    after = fits(knowing, trained(knowing, **options).substitute(knowing.teacher).model)
    assert after["programs"] > before["programs"] + 1
    assert after["sums"] < before["sums"] + 0.5


def test_no_alpha_is_the_identity_and_ends_after_unlearning(knowing, monkeypatch):
    model = trainable(knowing.teacher.model)
    shake(model, 0.0, 0.7, seed=1)
    original = dict(knowing.teacher.model.named_parameters())
    assert all(torch.equal(weight, original[name]) for name, weight in model.named_parameters())
    monkeypatch.setattr(Undo, "distil", None)  # would fail
    trained(knowing, alpha=0.0, steps=2)


@pytest.mark.parametrize("family", ["llama", "llama_tied", "qwen2", "gpt_neox"])
def test_full_noise_is_a_random_start(family):
    first, second = (trainable(thinker(family, seed).model) for seed in (1, 2))
    for model in (first, second):
        shake(model, 1.0, 1.0, seed=5)
    for (name, weight), other in zip(first.named_parameters(), second.parameters(), strict=True):
        assert torch.equal(weight, other), name  # nothing is left of what they were
        if weight.dim() == 1:
            assert not weight.any()
        else:
            limit = math.sqrt(6 / sum(weight.shape))
            assert float(weight.detach().abs().max()) <= limit
            assert float(weight.detach().std()) == pytest.approx(limit / math.sqrt(3), rel=0.1)
    shake(second, 1.0, 1.0, seed=6)
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_noise_is_the_formula():
    teacher = thinker()
    found, noise = trainable(teacher.model), trainable(teacher.model)
    shake(found, 0.25, 0.1, seed=5)
    shake(noise, 1.0, 1.0, seed=5)
    for weight, before, drawn in zip(found.parameters(), teacher.model.parameters(), noise.parameters(), strict=True):
        torch.testing.assert_close(weight, 0.75 * before + 0.25 * 0.1 * drawn)


def test_maximal_entropy_pulls_to_the_uniform_distribution():
    logits = torch.randn(3, 40, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = Undo().forgotten(logits, torch.tensor([1, 2, 3]))
    uniform = torch.full((3, 40), 1 / 40)
    expected = torch.nn.functional.kl_div(logits.log_softmax(-1), uniform, reduction="batchmean")
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, (logits.softmax(-1) - uniform).detach() / 3, atol=1e-6, rtol=1e-4)


def test_gradient_difference_stops_at_the_uniform_distribution():
    logits = torch.zeros(2, 40)
    logits[0, 7] = -9.0  # less likely than under the uniform distribution
    logits[1, 7] = 3.0
    logits.requires_grad_()
    loss = Undo(method="gradient_difference").forgotten(logits, torch.tensor([7, 7]))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert not gradient[0].any()
    assert gradient[1, 7] > 0  # descending makes it less likely


def test_unknown_tasks_are_told_by_the_preparation():
    with pytest.raises(UserError, match=r"a defense asks for traces of \['poems'\]"):
        trained(Thoughts(thinker()), forget=["poems"])
    with pytest.raises(UserError, match=r"a defense asks for traces of \['poems'\]"):
        trained(Thoughts(thinker()), retain=["poems"])


def test_retained_are_the_others_unless_named():
    preparation = Thoughts(thinker(), tasks=("sums", "facts", "programs"))
    assert Undo().retained(preparation) == ["sums", "facts"]
    assert Undo(retain=["facts"]).retained(preparation) == ["facts"]
    with pytest.raises(UserError, match="forget every task"):
        Undo(forget=["sums", "facts", "programs"]).retained(preparation)


@pytest.mark.parametrize(
    "bad", [{"alpha": 1.1}, {"beta": -0.1}, {"method": "rmu"}, {"forget": []}, {"retain": ["programs"]}]
)
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Undo(**bad)
