"""Sybil accounts: a campaign split over many customers, so that none of them asks much. The splits and schedules of the
campaigns reported in 2026 (25,000 accounts asked 28.8 million times in 45 days, 26 times an account and day).

    round_robin  the accounts in turn
    uniform      an account drawn for each request: everyone asks the global mix
    sharded      an account drawn for each topic: everyone asks one narrow thing

Time is u = call / (rate * accounts), stretched without ever running back: constant t = u; diurnal
t = u + depth * period / 2π * sin(2πu / period), quietest where a period begins; burst, each period's calls within the
first 1 - depth of it. All keep the mean rate over whole periods.
Defaults: none published for the schedules; presets keep an account's rate where they lower the number of accounts.
Breakers: detection across accounts, of traffic that is alike (MMD, arXiv 2606.05725), and defenses that decide by the
question and not by who asks (LADS, 2605.18829).
Deviates: a request does not name its topic, so a topic is the first words of its first user message.
"""

from bisect import bisect_left
from math import floor, pi, sin
from typing import Literal, get_args

from attacks.accounts import RoundRobin
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request
from spiritsafe.randomness import stream_key

Split = Literal["round_robin", "uniform", "sharded"]
Schedule = Literal["constant", "diurnal", "burst"]


class Sybil(RoundRobin):
    """``count`` accounts, each calling ``rate`` times a simulated second on average. What a banned account would have
    asked goes to the next one that is left. ``words`` make a topic; ``seed`` keys the two splits that are drawn."""

    def __init__(
        self,
        count: int = 100,
        tier: str = "standard",
        rate: float = 0.01,
        split: Split = "round_robin",
        schedule: Schedule = "constant",
        period: float = 86400.0,
        depth: float = 0.8,
        words: int = 3,
        prefix: str = "account",
        seed: int = 0,
    ):
        super().__init__(count, tier, rate)
        if split not in get_args(Split) or schedule not in get_args(Schedule):
            raise UserError(
                f"accounts split {split} on a {schedule} schedule are unknown: set attack.accounts.split to one of "
                f"{', '.join(get_args(Split))} and attack.accounts.schedule to one of {', '.join(get_args(Schedule))}"
            )
        if period <= 0 or not 0 <= depth < 1 or words < 1:
            raise UserError(
                f"a schedule needs period > 0 and 0 <= depth < 1, a topic words >= 1: "
                f"attack.accounts has period={period}, depth={depth}, words={words}"
            )
        self._accounts = [Account(f"{prefix}-{index:06d}", tier) for index in range(count)]
        self._active = [account.id for account in self._accounts]
        self._split, self._schedule, self._period, self._depth = split, schedule, period, depth
        self._words, self._seed = words, seed

    def assign(self, request: Request, index: int) -> tuple[str, float]:
        account, steady = super().assign(request, index)
        if self._split != "round_robin":
            name = request.id if self._split == "uniform" else topic(request, self._words)
            wanted = self._accounts[stream_key(self._seed, name, 0) % len(self._accounts)].id
            account = self._active[bisect_left(self._active, wanted) % len(self._active)]
        return account, self._stretched(steady)

    def _stretched(self, steady: float) -> float:
        if self._schedule == "diurnal":
            return steady + self._depth * self._period / (2 * pi) * sin(2 * pi * steady / self._period)
        if self._schedule == "burst":
            start = floor(steady / self._period) * self._period
            return start + (steady - start) * (1 - self._depth)
        return steady


def topic(request: Request, words: int) -> str:
    first = next((message.content for message in request.messages if message.role == "user"), "")
    return " ".join(first.lower().split()[:words])
