import pytest
from hypothesis import given
from hypothesis import strategies as st

from defenses.exchange_limit import ExchangeLimit
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Request


def ask(samples=1):
    return Request("r", (Message("user", "hello"),), samples=samples)


def serve(limit, account, times, samples=1):
    """How many exchanges each call was allowed, as a gateway counts them."""
    served = []
    for account.time in times:
        allowed = limit.admit(ask(samples), account).outcome is Outcome.ANSWERED
        account.exchanges += samples * allowed
        served.append(samples * allowed)
    return served


def test_stops_at_the_limit_and_counts_accounts_apart():
    limit, first, second = ExchangeLimit(3), Account("a"), Account("b")
    assert serve(limit, first, [0] * 5) == [1, 1, 1, 0, 0]
    decision = limit.admit(ask(), first)
    assert decision.outcome is Outcome.THROTTLED
    assert "3 exchanges" in decision.reason
    assert serve(limit, second, [0] * 2) == [1, 1]


def test_refills_every_window():
    assert serve(ExchangeLimit(2, window=60), Account("a"), [0, 1, 2, 59.9, 60, 61, 62, 200]) == [
        1,
        1,
        0,
        0,
        1,
        1,
        0,
        1,
    ]


@given(
    limit=st.integers(1, 5),
    samples=st.integers(1, 4),
    times=st.lists(st.floats(0, 500), max_size=60).map(sorted),
    window=st.one_of(st.none(), st.floats(1, 200)),
)
def test_never_serves_more_than_what_was_earned(limit, samples, times, window):
    served = serve(ExchangeLimit(limit, window), Account("a"), times, samples)
    for count, time in enumerate(times):
        earned = limit * (1 if window is None else 1 + int(time // window))
        assert sum(served[: count + 1]) <= earned


@pytest.mark.parametrize("bad", [{"exchanges": 0}, {"exchanges": 5, "window": 0.0}])
def test_bad_knobs_name_the_remedy(bad):
    with pytest.raises(UserError, match="exchanges >= 1"):
        ExchangeLimit(**bad)
