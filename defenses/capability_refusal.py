"""Refuse a protected capability: a small query classifier stands in front of the teacher.

Industry practice (Anthropic reports such a classifier), no published algorithm or default. Breakers: splitting a
task into harmless-looking parts, role or grading reframing, translation. Its price is the refusal of honest
requests that look alike, so it is measured on traffic the classifier was not fitted to. Deviates: a linear classifier
in place of an embedding probe and a judge (defenses/primitives/queries.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from defenses.primitives.queries import QueryClassifier
from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense, Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Request


@dataclass
class CapabilityRefusal(Defense):
    """Refuse where the tasks in ``protected`` have together at least ``threshold`` of the classifier's probability.

    Accounts of the tiers in ``exempt`` are let through. ``prompts`` of public traffic are asked for, one in four of
    which is held out for ``summary()``.
    """

    protected: Sequence[str] = ("programs", "recipes")
    exempt: Sequence[str] = ()
    threshold: float = 0.5
    prompts: int = 1024
    classifier: QueryClassifier | None = field(default=None, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise UserError(
                "capability_refusal needs a threshold above 0 (which refuses everything) and at most 1, for it is a "
                f"probability, got threshold={self.threshold}"
            )

    def prepare(self, preparation: Preparation) -> None:
        self.classifier = QueryClassifier.fitted(preparation, self.protected, self.prompts)

    def admit(self, request: Request, account: Account) -> Decision:
        assert self.classifier is not None, "prepare() fits the classifier"
        if account.tier in self.exempt or self.classifier.of(request) < self.threshold:
            return ALLOW
        return Decision(Outcome.REFUSED, f"the tier {account.tier!r} may not use {', '.join(self.protected)}")

    def summary(self) -> dict[str, Any]:
        return self.classifier.rates(self.threshold) if self.classifier else {}
