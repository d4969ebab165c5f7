from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.sybil import Sybil, topic
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request

SPLITS, SCHEDULES = ["round_robin", "uniform", "sharded"], ["constant", "diurnal", "burst"]
DAY = 86400.0


def ask(index: int, text: str = "") -> Request:
    return Request(f"r{index}", (Message("user", text or f"topic {index % 5} asks about {index}"),))


def ban(*accounts: str) -> list[Exchange]:
    return [Exchange(ask(0), Reply(Outcome.BANNED), account, 0.0) for account in accounts]


@given(
    st.sampled_from(SPLITS),
    st.sampled_from(SCHEDULES),
    st.integers(1, 7),
    st.floats(1e-4, 50),
    st.floats(0, 0.99),
    st.lists(st.sets(st.integers(0, 6), max_size=2), max_size=60),
)
@settings(max_examples=150, deadline=None)
def test_time_never_runs_back_and_every_account_is_declared(split, schedule, count, rate, depth, bans):
    pool = Sybil(count, rate=rate, split=split, schedule=schedule, period=100.0, depth=depth)
    declared, gone, calls = {account.id for account in pool.accounts}, set(), []
    for index, some in enumerate(bans):
        calls.append(pool.assign(ask(index), index))
        assert calls[-1][0] in declared
        assert calls[-1][0] not in gone or len(gone) == count
        named = {f"account-{place:06d}" for place in some if place < count}
        gone = gone | named if len(gone | named) < count else gone
        pool.observe(ban(*named) if len(gone | named) < count else [])
    assert all(before <= after for (_, before), (_, after) in pairwise(calls))


def test_totals_an_account():
    def totals(split: str) -> Counter[str]:
        pool = Sybil(10, split=split)
        return Counter(pool.assign(ask(index), index)[0] for index in range(4000))

    assert set(totals("round_robin").values()) == {400}
    uniform = totals("uniform")
    assert len(uniform) == 10
    assert all(abs(total - 400) < 5 * (4000 * 0.1 * 0.9) ** 0.5 for total in uniform.values())
    assert len(totals("sharded")) <= 5
    assert all(total % 800 == 0 for total in totals("sharded").values())


def test_a_shard_stays_with_its_account_and_moves_whole():
    pool = Sybil(6, split="sharded")
    home = {text: pool.assign(ask(0, f"{text} more {text}"), 0)[0] for text in "abcdefgh"}
    assert all(pool.assign(ask(9, f"{text}  MORE {text} and so on"), 9)[0] == home[text] for text in "abcdefgh")
    gone = home["a"]
    pool.observe(ban(gone))
    moved = {text: pool.assign(ask(0, f"{text} more {text}"), 10)[0] for text in "abcdefgh"}
    assert gone not in moved.values()
    assert all(moved[text] == home[text] for text in "abcdefgh" if home[text] != gone)
    assert len({moved[text] for text in "abcdefgh" if home[text] == gone}) == 1
    assert Sybil(6, split="sharded", seed=1).assign(ask(0, "a more a"), 0) != (home["a"], 1.0)


def test_a_uniform_split_depends_on_the_request_alone():
    pool, other = Sybil(50, split="uniform"), Sybil(50, split="uniform")
    assert pool.assign(ask(7), 0)[0] == other.assign(ask(7), 300)[0]
    drawn = [[Sybil(50, split="uniform", seed=seed).assign(ask(i), i)[0] for i in range(20)] for seed in (0, 1)]
    assert drawn[0] != drawn[1]


def test_what_has_no_words_is_one_topic():
    assert topic(Request("r", ()), 3) == topic(Request("r", (Message("user", " "),)), 3) == ""


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_keeps_the_mean_rate(schedule):
    """Ten accounts at a call each 864 seconds: 1000 calls a day."""
    pool = Sybil(10, rate=100 / DAY, schedule=schedule)
    times = [pool.assign(ask(index), index)[1] for index in range(3001)]
    assert [times[0], times[1000], times[2000], times[3000]] == pytest.approx([0, DAY, 2 * DAY, 3 * DAY])
    night = sum(time % DAY < DAY / 10 or time % DAY > 0.9 * DAY for time in times[:3000]) / 3000
    after = sum(time % DAY > 0.2 * DAY + 1 for time in times[:3000]) / 3000
    assert night == pytest.approx({"constant": 0.2, "diurnal": 0.116, "burst": 0.5}[schedule], abs=0.02)
    assert after == (0 if schedule == "burst" else pytest.approx(0.8, abs=0.1))


@pytest.mark.parametrize(
    "options", [{"split": "odd"}, {"schedule": "odd"}, {"period": 0.0}, {"depth": 1.0}, {"words": 0}, {"count": 0}]
)
def test_senseless_options_are_refused(options):
    with pytest.raises(UserError, match=r"attack\.accounts"):
        Sybil(**options)
