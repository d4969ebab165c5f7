"""One account, or several that take turns."""

from collections.abc import Sequence

from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Request


class RoundRobin:
    """``count`` accounts in rotation, each calling ``rate`` times a simulated second.

    A banned account leaves the rotation, and the campaign slows down by its share; when all are banned, they go on
    calling in vain. Bans are learned from replies alone.
    """

    def __init__(self, count: int = 1, tier: str = "standard", rate: float = 1.0):
        if count < 1 or rate <= 0:
            raise UserError("a campaign needs an account that calls: set attack.accounts.count >= 1 and rate > 0")
        self._accounts = [Account(f"account-{index:05d}", tier) for index in range(count)]
        self._rate = rate
        self._active = [account.id for account in self._accounts]
        self._since = (0, 0.0)  # index and time of the first call of the present rotation
        self._last = -1

    @property
    def accounts(self) -> Sequence[Account]:
        return self._accounts

    def assign(self, request: Request, index: int) -> tuple[str, float]:
        self._last = max(self._last, index)
        return self._active[index % len(self._active)], self._time(index)

    def observe(self, exchanges: Sequence[Exchange]) -> None:
        banned = {exchange.account for exchange in exchanges if exchange.reply.outcome is Outcome.BANNED}
        left = [account for account in self._active if account not in banned]
        if left and len(left) < len(self._active):
            following = self._last + 1
            self._since = (following, self._time(following))
            self._active = left

    def _time(self, index: int) -> float:
        first, start = self._since
        return start + (index - first) / (self._rate * len(self._active))
