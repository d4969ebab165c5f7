import random

import pytest
import torch
from defense_fakes import FakePreparation

from defenses.capability_refusal import CapabilityRefusal
from defenses.primitives.queries import bags, features, fit, scores
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Request

WAYS = {
    "programs": ["Run this program: x = {a}; print(x)", "What does the code print? y = {a} + {b}"],
    "recipes": ["How do I mix {a} parts of red with {b}?", "Give the steps to brew {a} vials of blue"],
    "arithmetic": ["What is {a} + {b}?", "Compute {a} times {b}, please"],
    "facts": ["Who founded the town number {a}?", "In which year was house {b} built?"],
}


def traffic(count, seed=0):
    chance = random.Random(seed)
    drawn = [chance.choice(list(WAYS)) for _ in range(count)]
    return [
        (task, chance.choice(WAYS[task]).format(a=chance.randrange(1000), b=chance.randrange(1000))) for task in drawn
    ]


def ask(text, **account):
    return Request("r", (Message("user", text),)), Account("a", **account)


@pytest.fixture(scope="module")
def prepared(teacher):
    defense = CapabilityRefusal(exempt=("vetted",))
    defense.prepare(FakePreparation(teacher, traffic=traffic(400)))
    return defense


def test_refuses_what_is_protected_and_nothing_else(prepared):
    for task, text in traffic(200, seed=1):
        decision = prepared.admit(*ask(text))
        expected = Outcome.REFUSED if task in prepared.protected else Outcome.ANSWERED
        assert decision.outcome is expected, text
    refused = prepared.admit(*ask("Run this program: x = 3; print(x)"))
    assert "'standard' may not use programs, recipes" in refused.reason


def test_exempt_tiers_pass(prepared):
    assert prepared.admit(*ask("Run this program: x = 3", tier="vetted")).outcome is Outcome.ANSWERED


def test_every_user_message_counts(prepared):
    messages = (Message("user", "Run this program: x = 12; print(x)"), Message("tool", "ok"), Message("user", "Go on"))
    assert prepared.admit(Request("r", messages), Account("a")).outcome is Outcome.REFUSED


def test_summary_reports_held_out_rates_by_task(prepared):
    summary = prepared.summary()
    assert set(summary["recall"]) == {"programs", "recipes"}
    assert set(summary["false_alarms"]) == {"arithmetic", "facts"}
    assert sum(summary["held_out"].values()) == 100
    assert min(summary["recall"].values()) > 0.95
    assert max(summary["false_alarms"].values()) < 0.05


def test_false_refusals_are_counted_where_tasks_look_alike(teacher):
    chance = random.Random(0)
    same = [(chance.choice(["recipes", "lookalike"]), "How do I mix red with blue?") for _ in range(400)]
    defense = CapabilityRefusal(protected=["recipes"], threshold=0.1)
    defense.prepare(FakePreparation(teacher, traffic=same))
    assert defense.summary()["false_alarms"] == {"lookalike": 1.0}
    strict = CapabilityRefusal(protected=["recipes"], threshold=0.9)
    strict.prepare(FakePreparation(teacher, traffic=same))
    assert strict.summary()["recall"] == {"recipes": 0.0}


def test_raising_the_threshold_refuses_less(prepared):
    texts = [text for _, text in traffic(100, seed=2)]
    probability = prepared.classifier.probability(texts)
    assert ((probability >= 0) & (probability <= 1)).all()
    counts = [int((probability >= threshold).sum()) for threshold in (0.1, 0.5, 0.9)]
    assert counts == sorted(counts, reverse=True)


def test_fit_is_the_optimum_and_repeatable(teacher):
    pairs = traffic(60)
    texts, labels = [text for _, text in pairs], torch.tensor([sorted(WAYS).index(task) for task, _ in pairs])
    classifier = fit(bags(texts), labels, 4, ridge=1e-3)
    assert torch.equal(classifier, fit(bags(texts), labels, 4, ridge=1e-3))
    weights = classifier.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(scores(bags(texts), weights), labels) + 5e-4 * weights.square().sum()
    loss.backward()
    assert weights.grad.abs().max() < 1e-4


def test_numbers_do_not_matter():
    assert features("Compute 12 times 7") == features("compute 3 times 999")
    assert features("Compute 12 times 7") != features("compute 3 plus 999")


def test_an_unknown_capability_names_the_known_ones(teacher):
    with pytest.raises(UserError, match=r"\['chess'\].*set protected to some of \['arithmetic', 'facts'"):
        CapabilityRefusal(protected=["chess"]).prepare(FakePreparation(teacher, traffic=traffic(50)))


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan")])
def test_a_threshold_that_is_no_probability_names_the_remedy(threshold):
    with pytest.raises(UserError, match=r"threshold above 0 .* and at most 1"):
        CapabilityRefusal(threshold=threshold)
