from fractions import Fraction

import pytest
from access import calls, gateway, outcomes, resumed
from defense_fakes import tiny
from hypothesis import given
from hypothesis import strategies as st
from showing import FAMILIES

from defenses.token_bucket import TokenBucket
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Request, Sampling


def ask(samples=1, max_tokens=10):
    return Request("r", (Message("user", "hello"),), Sampling(max_tokens=max_tokens), samples)


def admitted(bucket, account, times, request):
    allowed = []
    for account.time in times:
        allowed.append(bucket.admit(request, account).outcome is Outcome.ANSWERED)
    return allowed


def reference(cap, rate, cost, times):
    """The same in exact arithmetic, from the definition: every admission is a debt that the rate pays back."""
    debt, last, allowed = Fraction(0), times[0] if times else 0, []
    for time in times:
        debt = max(Fraction(0), debt - Fraction(rate) * (Fraction(time) - Fraction(last)))
        allowed.append(debt + cost <= cap)
        debt, last = debt + cost * allowed[-1], time
    return allowed


sixteenths = st.integers(0, 8000).map(lambda count: count / 16)  # sums of these are exact in floats


@given(
    cap=st.integers(1, 60),
    rate=st.sampled_from([0, 0.125, 0.5, 2.0]),
    per=st.sampled_from(["request", "tokens"]),
    samples=st.integers(1, 3),
    times=st.lists(sixteenths, max_size=60).map(sorted),
)
def test_decides_as_the_definition_and_never_overspends(cap, rate, per, samples, times):
    allowed = admitted(TokenBucket(cap, rate, per), Account("a"), times, ask(samples))
    cost = samples * (10 if per == "tokens" else 1)
    assert allowed == reference(cap, rate, cost, times)
    for first in range(len(times)):
        for last in range(first, len(times)):
            assert sum(allowed[first : last + 1]) * cost <= cap + rate * (times[last] - times[first])


def test_a_full_bucket_a_steady_rate_and_no_more_than_the_cap():
    bucket, account = TokenBucket(cap=2, rate=0.1), Account("a")
    assert admitted(bucket, account, [0, 0, 0, 10, 10, 1000, 1000, 1000], ask()) == [1, 1, 0, 1, 0, 1, 1, 0]
    assert admitted(bucket, Account("b"), [1000, 1000, 1000], ask()) == [1, 1, 0], "accounts are counted apart"


def test_a_denial_says_what_is_missing():
    decision = TokenBucket(cap=15, per="tokens").admit(ask(samples=2), Account("a"))
    assert (decision.outcome, decision.reason) == (Outcome.THROTTLED, "the request costs 20 and 15 of 15 are left")


def test_time_that_stands_still_or_turns_back_fills_nothing():
    assert admitted(TokenBucket(cap=1, rate=1), Account("a"), [100, 50, 100, 50, 100.5, 101], ask()) == [
        1,
        0,
        0,
        0,
        0,
        1,
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_under_the_gateway(family):
    teacher = tiny(family, seed=1)
    asked = calls(["w1 w2"] * 12, accounts=2, every=1.0)
    exchanges = gateway(teacher, TokenBucket(cap=2, rate=0.25), window=5).serve(asked)
    allowed = reference(2, 0.25, 1, [0, 2, 4, 6, 8, 10])
    assert outcomes(exchanges[::2]) == outcomes(exchanges[1::2])
    assert outcomes(exchanges[::2]) == ["answered" if each else "throttled" for each in allowed]
    free = gateway(teacher, window=5).serve(asked)
    answered = [place for place, exchange in enumerate(exchanges) if exchange.reply.outcome is Outcome.ANSWERED]
    assert [exchanges[place] for place in answered] == [free[place] for place in answered]


@pytest.mark.parametrize("cut", [1, 7, 13])
@pytest.mark.parametrize("samples", [1, 3])
def test_a_resumed_gateway_decides_as_one_that_never_stopped(teacher, cut, samples):
    asked = calls([f"w{index}" for index in range(20)], accounts=2, samples=samples)
    served = resumed(teacher, lambda: [TokenBucket(cap=3, rate=0.2)], asked, cut, window=8)
    assert {"answered", "throttled"} <= set(outcomes(served))


def test_sybil_accounts_bring_buckets_of_their_own(teacher):
    served = [
        outcomes(gateway(teacher, TokenBucket(cap=2, rate=0)).serve(calls(["w1"] * 8, accounts=accounts)))
        for accounts in (1, 4)
    ]
    assert [each.count("answered") for each in served] == [2, 8]


@pytest.mark.parametrize("bad", [{"cap": 0}, {"rate": -1}, {"per": "word"}, {"cap": float("nan")}])
def test_bad_knobs_name_the_remedy(bad):
    with pytest.raises(UserError, match=r"cap > 0, rate >= 0 and per in \('request', 'tokens'\)"):
        TokenBucket(**bad)
