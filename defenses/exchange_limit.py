"""A budget of exchanges per account, optionally refilled over time. Standard practice, no paper.

Defaults: none published. Breaker: Sybil accounts, each of which brings a budget of its own. Deviates from a token
bucket: an allowance that was not used carries over without a cap, so a decision follows from the account's counters
and clock alone and a resumed campaign decides as an uninterrupted one.
"""

from dataclasses import dataclass
from typing import ClassVar

from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense, Needs
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Request


@dataclass
class ExchangeLimit(Defense):
    """``exchanges`` for each account, once (``window=None``) or anew for every ``window`` simulated seconds."""

    exchanges: int = 1000
    window: float | None = None
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if self.exchanges < 1 or (self.window is not None and self.window <= 0):
            raise UserError(
                f"exchange_limit needs exchanges >= 1 and a window above 0 seconds (or null), "
                f"got exchanges={self.exchanges}, window={self.window}"
            )

    def admit(self, request: Request, account: Account) -> Decision:
        windows = 1 if self.window is None else 1 + int(account.time // self.window)
        if account.exchanges + request.samples <= self.exchanges * windows:
            return ALLOW
        return Decision(Outcome.THROTTLED, f"the limit of {self.exchanges} exchanges an account is reached")
