"""Watch what an account asks for: its risk is the share of its requests that want a protected capability.

Industry practice (Anthropic reports classifiers over API traffic, 2026), no published algorithm or default. Alone it
changes nothing; account_ban and every defense that reads the risk act on it. Breakers: benign mixing, since cover
traffic lowers the share; Sybil splitting, since no account then asks ``minimum`` times; and what breaks the classifier
(splitting a task, reframing, translation). Its price is the honest user who needs a protected capability and nothing
else. Deviates: a linear classifier of prompts (primitives/queries.py) in place of an embedding probe and a judge.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from defenses.primitives.queries import QueryClassifier
from spiritsafe.account import Account
from spiritsafe.defense import Defense, Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange


@dataclass
class CapabilityWatch(Defense):
    """A request asks for what is ``protected`` at ``threshold`` of the classifier's probability.

    Nobody is judged on fewer than ``minimum`` requests, refused ones included; risk is raised and never lowered.
    ``prompts`` of public traffic are asked for, one in four of which is held out for ``summary()``.
    """

    protected: Sequence[str] = ("programs", "recipes")
    threshold: float = 0.5
    minimum: int = 16
    prompts: int = 1024
    classifier: QueryClassifier | None = field(default=None, init=False, repr=False)
    seen: dict[str, tuple[int, int]] = field(default_factory=dict, init=False, repr=False)  # requests, protected ones
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1 or self.minimum < 1:
            raise UserError(
                "capability_watch needs a threshold above 0 and at most 1 (a probability) and minimum >= 1, "
                f"got threshold={self.threshold}, minimum={self.minimum}"
            )

    def prepare(self, preparation: Preparation) -> None:
        self.classifier = QueryClassifier.fitted(preparation, self.protected, self.prompts)

    def observe(self, exchanges: Sequence[Exchange], accounts: dict[str, Account]) -> None:
        assert self.classifier is not None, "prepare() fits the classifier"
        requests = [exchange for exchange in exchanges if exchange.sample == 0]
        for exchange in requests:
            asked, wanted = self.seen.get(exchange.account, (0, 0))
            wanted += self.classifier.of(exchange.request) >= self.threshold
            self.seen[exchange.account] = asked + 1, wanted
        for name in {exchange.account for exchange in requests}:
            asked, wanted = self.seen[name]
            if asked >= self.minimum:
                accounts[name].risk = max(accounts[name].risk, wanted / asked)

    def summary(self) -> dict[str, Any]:
        return self.classifier.rates(self.threshold) if self.classifier else {}
