"""What a campaign has spent. A call reserves before it is sent and settles after; nothing ever goes below zero."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import dataclass

from spiritsafe.budget import Budget, BudgetSpent, Spend
from spiritsafe.exchange import Usage


@dataclass(frozen=True, eq=False)
class Reservation:
    """Leave to send one exchange that samples at most ``max_tokens``."""

    account: str
    max_tokens: int


class Ledger:
    """Counts everything that is sent, refused calls too. Without a ``budget`` it only counts. Threads may share it."""

    def __init__(self, budget: Budget | None = None) -> None:
        limits = (budget.exchanges, budget.completion_tokens, budget.accounts) if budget else (None, None, None)
        self._exchanges, self._tokens, self._accounts = (sys.maxsize if limit is None else limit for limit in limits)
        self._settled = Spend()
        self._reserved: set[Reservation] = set()
        self._promised = 0  # tokens
        self._callers: Counter[str] = Counter()  # exchanges of each account, reserved or settled
        self._senders: set[str] = set()  # accounts with a settled exchange
        self._lock = threading.Lock()

    @property
    def spend(self) -> Spend:
        """What is settled. ``accounts`` counts those that have sent something."""
        with self._lock:
            return self._settled

    @property
    def exhausted(self) -> bool:
        """No exchange or no token is left."""
        with self._lock:
            return self._settled.exchanges >= self._exchanges or self._settled.completion_tokens >= self._tokens

    def reserve(self, account: str, max_tokens: int) -> Reservation | None:
        """Take one exchange and up to ``max_tokens`` out of the budget. Raises BudgetSpent where nothing is left.

        None says that it depends on calls under way: settle them and ask again. With none under way a call is granted
        whatever is left, so a token budget is met exactly, whichever calls were sent together.
        """
        with self._lock:
            if self._settled.exchanges + len(self._reserved) >= self._exchanges:
                raise BudgetSpent(f"all {self._exchanges} exchanges are spent")
            if account not in self._callers and len(self._callers) >= self._accounts:
                raise BudgetSpent(f"all {self._accounts} accounts are in use")
            left = self._tokens - self._settled.completion_tokens
            if max_tokens and not left:
                raise BudgetSpent(f"all {self._tokens} completion tokens are spent")
            if self._promised and self._promised + max_tokens > left:
                return None
            reservation = Reservation(account, min(max_tokens, left))
            self._reserved.add(reservation)
            self._promised += reservation.max_tokens
            self._callers[account] += 1
            return reservation

    def settle(self, reservation: Reservation, usage: Usage) -> None:
        """The call was sent and used this much; what it did not use comes back."""
        if usage.completion_tokens > reservation.max_tokens:
            raise ValueError(f"{usage.completion_tokens} tokens were sampled and {reservation.max_tokens} reserved")
        with self._lock:
            self._close(reservation)
            self._senders.add(reservation.account)
            self._settled = Spend(
                self._settled.exchanges + 1,
                self._settled.prompt_tokens + usage.prompt_tokens,
                self._settled.completion_tokens + usage.completion_tokens,
                len(self._senders),
            )

    def release(self, reservation: Reservation) -> None:
        """The call was not sent; all of it comes back."""
        with self._lock:
            self._close(reservation)
            self._callers[reservation.account] -= 1
            if not self._callers[reservation.account]:
                del self._callers[reservation.account]

    def _close(self, reservation: Reservation) -> None:
        """Raises KeyError where it was closed before: nothing comes back twice."""
        self._reserved.remove(reservation)
        self._promised -= reservation.max_tokens
