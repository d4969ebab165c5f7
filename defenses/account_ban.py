"""Ban an account whose risk has reached a threshold. Industry practice (named among the responses in Anthropic,
"Detecting and preventing distillation attacks", 2026), no published algorithm.

Defaults: none published. Breakers: Sybil accounts, which replace what is banned; staying under the threshold by mixing
in harmless requests. It only decides: the risk comes from the `observe` hook of another defense of the stack, such as
capability_watch, once a window, and a ban is for good. Deviates: no appeal and no review by a person.
"""

from dataclasses import dataclass
from typing import ClassVar

from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense, Needs
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Request


@dataclass
class AccountBan(Defense):
    """``threshold`` is in units of risk, from 0 to 1."""

    threshold: float = 0.8
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UserError(
                "account_ban needs a threshold above 0 (everyone's risk at first) and at most 1, "
                f"got threshold={self.threshold}"
            )

    def admit(self, request: Request, account: Account) -> Decision:
        if account.risk < self.threshold:
            return ALLOW
        return Decision(Outcome.BANNED, f"the account's risk of {account.risk:.2f} is at least {self.threshold:g}")
