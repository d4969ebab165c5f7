"""Keep the replies that show enough of their reasoning to learn from. An example, from no paper."""

from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Exchange


@dataclass(frozen=True)
class LongReasoning:
    """``words`` that a reply's reasoning has at least."""

    words: int = 8

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [exchange for exchange in exchanges if len((exchange.reply.reasoning or "").split()) >= self.words]
