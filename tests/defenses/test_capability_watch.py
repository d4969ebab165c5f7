import random

import pytest
from access import calls, gateway, outcomes, resumed
from defense_fakes import FakePreparation, tiny
from showing import FAMILIES

from defenses.account_ban import AccountBan
from defenses.capability_watch import CapabilityWatch
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request

PROGRAM, SUM = "run this program x = {} ; print x", "what is {} plus {}"


def public(count=80):
    chance = random.Random(0)
    ways = {"programs": PROGRAM, "arithmetic": SUM}
    drawn = [chance.choice(list(ways)) for _ in range(count)]
    return [(task, ways[task].format(chance.randrange(99), chance.randrange(99))) for task in drawn]


@pytest.fixture(scope="module")
def classifier(teacher):
    defense = CapabilityWatch(protected=["programs"])
    defense.prepare(FakePreparation(teacher, traffic=public()))
    return defense.classifier


def watch(classifier, **knobs):
    defense = CapabilityWatch(protected=["programs"], **knobs)
    defense.classifier = classifier
    return defense


def exchanges(kinds, account="a", samples=1):
    """P asks for a program, anything else for a sum."""
    wanted = [(PROGRAM if kind == "P" else SUM).format(place, 3) for place, kind in enumerate(kinds)]
    requests = [Request(f"r{place}", (Message("user", text),)) for place, text in enumerate(wanted)]
    return [
        Exchange(request, Reply(Outcome.ANSWERED), account, 0.0, sample)
        for request in requests
        for sample in range(samples)
    ]


@pytest.mark.parametrize(("kinds", "risk"), [("PPPP", 1.0), ("PSSS", 0.25), ("SSSS", 0.0), ("PPP", 0.0), ("", 0.0)])
def test_risk_is_the_share_of_protected_requests(classifier, kinds, risk):
    accounts = {"a": Account("a")}
    watch(classifier, minimum=4).observe(exchanges(kinds), accounts)
    assert accounts["a"].risk == risk


def test_counts_over_windows_samples_once_and_accounts_apart(classifier):
    accounts = {"a": Account("a"), "b": Account("b")}
    defense = watch(classifier, minimum=4)
    defense.observe(exchanges("PP", samples=3) + exchanges("SSSS", "b"), accounts)
    assert (accounts["a"].risk, accounts["b"].risk) == (0, 0)
    defense.observe(exchanges("PS", samples=3) + exchanges("P", "b"), accounts)
    assert (accounts["a"].risk, accounts["b"].risk) == (0.75, 0.2)


def test_risk_is_raised_and_never_lowered(classifier):
    accounts = {"a": Account("a", risk=0.6)}
    defense = watch(classifier, minimum=2)
    defense.observe(exchanges("PS"), accounts)
    assert accounts["a"].risk == 0.6
    defense.observe(exchanges("PPPP"), accounts)
    assert accounts["a"].risk == pytest.approx(5 / 6)
    defense.observe(exchanges("SSSSSSSS"), accounts)
    assert accounts["a"].risk == pytest.approx(5 / 6)


def stream(kinds, **options):
    return calls([(PROGRAM if kind == "P" else SUM).format(place, 3) for place, kind in enumerate(kinds)], **options)


@pytest.mark.parametrize("family", FAMILIES)
def test_with_a_ban_it_stops_the_campaign_and_not_the_honest_user(family, classifier):
    gate = gateway(tiny(family, seed=1), AccountBan(0.8), watch(classifier, minimum=4), window=8)
    found = outcomes(gate.serve(stream("PS" * 12, accounts=2)))
    assert found[::2] == ["answered"] * 4 + ["banned"] * 8
    assert found[1::2] == ["answered"] * 12


def test_what_breaks_it(teacher, classifier):
    """The same 12 requests for programs under cover of harmless ones, or from many accounts, are all answered."""
    for asked in (stream("PS" * 12, accounts=1), stream("P" * 12, accounts=4)):
        gate = gateway(teacher, AccountBan(0.8), watch(classifier, minimum=4), window=12)
        assert set(outcomes(gate.serve(asked))) == {"answered"}


@pytest.mark.parametrize("cut", [3, 9, 20])
def test_a_resumed_gateway_decides_as_one_that_never_stopped(teacher, classifier, cut):
    served = resumed(
        teacher,
        lambda: [AccountBan(0.7), watch(classifier, minimum=5)],
        stream("PSPSPSPPPS" * 3, accounts=2, samples=2),
        cut,
        window=7,
    )
    assert {"answered", "banned"} == set(outcomes(served))


def test_summary_reports_held_out_rates(teacher):
    defense = CapabilityWatch(protected=["programs"])
    assert defense.summary() == {}
    defense.prepare(FakePreparation(teacher, traffic=public()))
    summary = defense.summary()
    assert summary["recall"] == {"programs": 1.0}
    assert summary["false_alarms"] == {"arithmetic": 0.0}


@pytest.mark.parametrize("bad", [{"threshold": 0}, {"threshold": 1.2}, {"minimum": 0}])
def test_bad_knobs_name_the_remedy(bad):
    with pytest.raises(UserError, match=r"threshold above 0 and at most 1 .* and minimum >= 1"):
        CapabilityWatch(**bad)
