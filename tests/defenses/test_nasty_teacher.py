from dataclasses import replace

import pytest
import torch
from retrained_fakes import Thoughts, thinker

from defenses.nasty_teacher import NastyTeacher
from defenses.primitives.lessons import Lessons
from defenses.primitives.retrained import divergence


def trained(preparation, **options):
    defense = NastyTeacher(**{"strength": 1.0, "traces": 32, "steps": 25, "batch": 8, "learning_rate": 0.01, **options})
    defense.prepare(replace(preparation, store={}))
    return defense


def measured(preparation, model):
    lesson = Lessons(preparation.teacher, preparation.traces(32)).lesson(range(32))
    logits, original = (lesson.at_targets(each(**lesson.inputs).logits) for each in (model, preparation.teacher.model))
    fit = torch.nn.functional.cross_entropy(logits, lesson.targets)
    return float(fit), float(divergence(logits, original, 4.0).mean())


def test_loss_is_the_formula():
    generator = torch.Generator().manual_seed(0)
    logits, original = (torch.randn(4, 40, generator=generator) for _ in range(2))
    labels, expected = torch.tensor([1, 2, 3, 4]), 0.0
    for row in range(4):
        p, q = ((each[row] / 5).softmax(-1) for each in (logits, original))
        expected -= float(logits[row].log_softmax(-1)[labels[row]])
        expected -= 0.3 * 5**2 * float((p * (p / q).log()).sum())
    found = NastyTeacher(repulsion=0.3, temperature=5.0, bound=50.0).loss(logits, labels, original)
    assert float(found) == pytest.approx(expected / 4, rel=1e-5)


def test_moves_away_from_its_former_self_within_the_bound():
    preparation = Thoughts(thinker())
    before = measured(preparation, preparation.teacher.model)
    gentle, strong, endless = (
        measured(preparation, trained(preparation, repulsion=ω, bound=0.3).substitute(preparation.teacher).model)
        for ω in (1e-9, 1.0, 1e4)
    )
    assert before[1] == pytest.approx(0, abs=1e-6)
    assert strong[1] > 2 * gentle[1]
    assert max(strong[0], endless[0]) <= before[0] + 3 * 0.3


def test_every_weight_is_trained_and_tied_ones_stay_tied():
    preparation = Thoughts(thinker("llama_tied"))
    defense = trained(preparation, steps=3)
    served = defense.substitute(preparation.teacher).model
    assert served.get_output_embeddings().weight is served.get_input_embeddings().weight
    original = dict(preparation.teacher.model.named_parameters())
    assert defense.trained.keys() == original.keys()
    assert not any(torch.equal(weight, original[name]) for name, weight in served.named_parameters())
