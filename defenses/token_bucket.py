"""Token bucket: an allowance for each account that fills at a steady rate up to a cap. Standard practice, no paper.

    tokens ← min(cap, tokens + rate · Δt);    denied where the cost is more than there is

Defaults: none published; ours let an account ask 256 questions at once and one a minute ever after. Breaker: Sybil
accounts, each of which brings a bucket of its own (an allowance should be a cluster's, not an account's).
Deviates: in tokens, the cost is what a request may sample at most, since it is charged before it is answered and
nothing is given back. A denied request costs nothing.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense, Needs
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Request

Per = Literal["request", "tokens"]


@dataclass
class TokenBucket(Defense):
    """``cap`` and ``rate`` (a simulated second) are in requests, every sample of which counts, or completion tokens."""

    cap: float = 256.0
    rate: float = 1 / 60
    per: Per = "request"
    levels: dict[str, tuple[float, float]] = field(default_factory=dict, init=False, repr=False)  # and when
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if not self.cap > 0 or not self.rate >= 0 or self.per not in get_args(Per):
            raise UserError(
                f"token_bucket needs cap > 0, rate >= 0 and per in {get_args(Per)}, "
                f"got cap={self.cap}, rate={self.rate}, per={self.per!r}"
            )

    def admit(self, request: Request, account: Account) -> Decision:
        cost = request.samples * (request.sampling.max_tokens if self.per == "tokens" else 1)
        level, since = self.levels.get(account.id, (self.cap, account.time))
        level = min(self.cap, level + self.rate * max(0.0, account.time - since))
        allowed = cost <= level
        self.levels[account.id] = level - cost * allowed, max(since, account.time)
        if allowed:
            return ALLOW
        return Decision(Outcome.THROTTLED, f"the request costs {cost} and {level:.4g} of {self.cap:g} are left")
