import math
import random
from collections import Counter

import pytest
from access import calls, gateway, outcomes, resumed
from defense_fakes import FakePreparation, tiny
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES

from defenses.primitives.queries import FEATURES, features
from defenses.proof_of_work import ProofOfWork, bits
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Request

WAYS = ["what is {a} plus {b}", "who founded town {a} near the river", "please name the trade of the {w} tutor"]


def public(count, seed=0):
    chance = random.Random(seed)
    return [
        ("task", chance.choice(WAYS).format(a=chance.randrange(99), b=chance.randrange(99), w=chance.choice("xyz")))
        for _ in range(count)
    ]


def prepared(teacher, **knobs):
    defense = ProofOfWork(**knobs)
    defense.prepare(FakePreparation(teacher, traffic=public(200)))
    return defense


def ask(text, samples=1):
    return Request("r", (Message("user", text),), samples=samples)


def asking(defense, texts, name="a"):
    account = Account(name)
    return [defense.admit(ask(text), account) for text in texts]


def texts(count, seed):
    return [text for _, text in public(count, seed)]


STRANGE = "zebra quartz {} violin ; under the fjord complete the umbrella"


def test_seconds_follow_the_formula(teacher):
    """c and ĉ in nats from counts of their own: three of four prompts of a shuffled pool make the density."""
    defense, asked = prepared(teacher, base=1.4), [*texts(5, 1), *(STRANGE.format(i) for i in range(4))]
    tables = [-math.log(float(p)) for p in (-defense.surprise).exp()]
    assert sum(math.exp(-cost) for cost in tables) == pytest.approx(1)
    total = 0.0
    for count, (text, decision) in enumerate(zip(asked, asking(defense, asked), strict=True), 1):
        total += sum(tables[feature] for feature in features(text))
        gap = abs(total - count * defense.mean) / defense.mean
        assert decision.seconds == pytest.approx(min(max(0.1, 1.4**gap), 2948))
        assert decision.outcome is Outcome.ANSWERED


def test_the_density_is_counted_with_one_more_of_each(teacher):
    traffic = [("task", f"w{index}") for index in range(8)]
    defense = ProofOfWork()
    defense.prepare(FakePreparation(teacher, traffic=traffic))
    counts = Counter(round(math.exp(-cost), 12) for cost in defense.surprise.tolist())
    words = 3  # ^ w 0, and the pairs ^ w and w 0: one feature each, six prompts fitted
    total = 6 * (words + 2) + FEATURES
    assert set(counts) == {round(1 / total, 12), round(7 / total, 12)}
    assert counts[round(7 / total, 12)] == words + 2
    assert defense.mean == pytest.approx(-(words + 2) * math.log(7 / total))


def test_an_honest_account_pays_little_and_an_extractor_the_cap(teacher):
    defense = prepared(teacher)
    honest = [decision.seconds for decision in asking(defense, texts(256, 2), "honest")]
    extractor = [decision.seconds for decision in asking(defense, [STRANGE.format("x")] * 256, "extractor")]
    assert 1 <= sum(honest) / 256 < 2
    assert extractor == sorted(extractor)
    assert extractor[-1] == pytest.approx(2948)
    assert sum(extractor) > 100 * sum(honest)


def test_sybil_accounts_pay_less(teacher):
    defense, asked = prepared(teacher), [STRANGE.format("x")] * 40
    alone = sum(decision.seconds for decision in asking(defense, asked, "alone"))
    split = sum(asking(defense, [text], f"sybil-{place}")[0].seconds for place, text in enumerate(asked))
    assert split < alone / 4


@given(gap=st.floats(0, 1e9), base=st.floats(1, 1e6))
def test_seconds_stay_within_the_published_range(gap, base):
    assert 0.1 <= ProofOfWork(base).seconds(gap) <= 2948 * (1 + 1e-12)


def test_every_sample_and_every_user_message_counts(teacher):
    defense, text = prepared(teacher, base=2.0), STRANGE.format("x")
    once = [asking(defense, [text] * 3, "each")[-1].seconds, defense.admit(ask(text, 3), Account("all")).seconds]
    assert once[0] == pytest.approx(once[1])
    other = Message("assistant", "not this"), Message("tool", "nor this"), Message("user", text)
    double = Request("r", (Message("user", text), *other))
    assert defense.admit(double, Account("two")).seconds > defense.admit(ask(text), Account("one")).seconds
    assert defense.asked["two"][1] == pytest.approx(2 * defense.asked["one"][1])


def test_a_base_of_one_asks_the_same_of_everyone(teacher):
    defense = prepared(teacher, base=1.0)
    assert {decision.seconds for decision in asking(defense, [STRANGE.format("x")] * 9)} == {1.0}


def test_bits_agree_with_the_published_timings():
    assert [bits(seconds) for seconds in (2.93, 23.2)] == [20, 23]
    assert abs(bits(2948) - 32) <= 1
    assert bits(1e-9) == 0


def test_the_summary_says_what_honesty_costs(teacher):
    summary = prepared(teacher).summary()
    assert summary["honest"]["requests"] == 50
    assert 1 <= summary["honest"]["seconds_a_request"] < 2
    assert summary["honest"]["bits"] == bits(summary["honest"]["seconds_a_request"])
    assert summary["most_bits"] == bits(2948)
    assert ProofOfWork().summary() == {}


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_gateway_the_text_stays_and_the_work_is_noted(family):
    model = tiny(family, seed=1)
    defense, asked = prepared(model), calls([STRANGE.format(i) for i in range(6)], accounts=2)
    gate = gateway(model, defense, window=4)
    assert gate.serve(asked) == gateway(model, window=4).serve(asked)
    again = prepared(model)
    for name, start in (("a0", 0), ("a1", 1)):
        demanded = sum(
            decision.seconds for decision in asking(again, [STRANGE.format(i) for i in range(start, 6, 2)], name)
        )
        assert gate.accounts[name].work == pytest.approx(demanded)


@pytest.mark.parametrize("samples", [1, 3])
def test_a_resumed_gateway_demands_as_one_that_never_stopped(teacher, samples):
    asked = calls([STRANGE.format(index) for index in range(12)], accounts=2, samples=samples)
    served = resumed(teacher, lambda: [prepared(teacher)], asked, 5, window=8)  # the accounts hold the work
    assert set(outcomes(served)) == {"answered"}


def test_bad_knobs_and_no_traffic_name_the_remedy(teacher):
    for bad in ({"base": 0.9}, {"base": float("nan")}, {"prompts": 7}):
        with pytest.raises(UserError, match=r"base >= 1 .* and prompts >= 8"):
            ProofOfWork(**bad)
    with pytest.raises(UserError, match="found 0 prompts: add tasks"):
        ProofOfWork().prepare(FakePreparation(teacher))
