from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.accounts import RoundRobin
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply, Request

REQUEST = Request("r", ())
# a campaign: after each call, which accounts are reported banned
campaigns = st.lists(st.sets(st.integers(0, 3), max_size=2), min_size=1, max_size=40)


def report(account: str, outcome: Outcome) -> Exchange:
    return Exchange(REQUEST, Reply(outcome), account, 0.0)


def play(campaign: list[set[int]], pool: RoundRobin) -> list[tuple[str, float]]:
    calls = []
    for index, bans in enumerate(campaign):
        calls.append(pool.assign(REQUEST, index))
        pool.observe([report(pool.accounts[ban].id, Outcome.BANNED) for ban in sorted(bans)])
    return calls


@given(campaigns, st.floats(0.001, 100))
def test_time_never_runs_back_and_campaigns_are_prefixes(campaign, rate):
    calls = play(campaign, RoundRobin(4, rate=rate))
    assert all(before <= after for (_, before), (_, after) in pairwise(calls))
    assert calls[: len(campaign) // 2] == play(campaign[: len(campaign) // 2], RoundRobin(4, rate=rate))


@given(campaigns)
def test_banned_accounts_rest_while_others_are_left(campaign):
    banned: set[str] = set()
    for (account, _), bans in zip(play(campaign, RoundRobin(4)), campaign, strict=True):
        assert account not in banned
        more = banned | {f"account-{ban:05d}" for ban in bans}
        banned = more if len(more) < 4 else banned
        if len(more) == 4:
            break


def test_each_account_keeps_its_rate_before_and_after_a_ban():
    pool = RoundRobin(3, tier="trial", rate=0.5)
    assert [account.tier for account in pool.accounts] == ["trial"] * 3
    calls = [pool.assign(REQUEST, index) for index in range(6)]
    assert [account[-1] for account, _ in calls] == list("012012")
    assert [time for _, time in calls] == pytest.approx([0, 2 / 3, 4 / 3, 2, 8 / 3, 10 / 3])
    pool.observe([report("account-00001", Outcome.BANNED)])
    calls = [pool.assign(REQUEST, index) for index in range(6, 10)]
    assert {account[-1] for account, _ in calls} == {"0", "2"}
    assert [time for _, time in calls] == pytest.approx([4, 5, 6, 7])


def test_only_bans_take_an_account_out():
    pool = RoundRobin(2)
    pool.observe([report("account-00000", outcome) for outcome in Outcome if outcome is not Outcome.BANNED])
    assert pool.assign(REQUEST, 0)[0] == "account-00000"


def test_the_last_account_goes_on_calling():
    pool = RoundRobin()
    pool.observe([report("account-00000", Outcome.BANNED)])
    assert pool.assign(REQUEST, 5) == ("account-00000", 5.0)


@pytest.mark.parametrize("options", [{"count": 0}, {"rate": 0.0}, {"rate": -1.0}])
def test_a_campaign_without_calls_is_refused(options):
    with pytest.raises(UserError, match=r"attack\.accounts\.count"):
        RoundRobin(**options)
