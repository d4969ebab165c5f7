"""Train on the question itself, not on what an elicitor put around it: the copy is to answer plain users.

The reply stays. Deviates from nothing published; REP (arXiv 2606.00642) trains on the bare question too. Token ids and
log probabilities stay those of the wrapped question.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message


class Unwraps(Protocol):
    def unwrap(self, messages: Sequence[Message]) -> tuple[Message, ...]: ...


@dataclass(frozen=True)
class Unwrap:
    """``elicitor`` is the attack's own (``${attack.elicitor}`` in a config)."""

    elicitor: Unwraps

    def __post_init__(self) -> None:
        if not hasattr(self.elicitor, "unwrap"):
            raise UserError(
                f"{type(self.elicitor).__name__} leaves questions as they are: take Unwrap out of attack.cleaners"
            )

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [
            replace(each, request=replace(each.request, messages=self.elicitor.unwrap(each.request.messages)))
            for each in exchanges
        ]
