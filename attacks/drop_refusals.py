"""Keep only what the teacher answered: no refusals by the gateway, none in words, no errors.

Deviates: string matching, as campaigns do it; it misses refusals (see ``spiritsafe.measures.refusal``), and those stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Exchange, Outcome
from spiritsafe.measures.refusal import is_refusal


@dataclass(frozen=True)
class DropRefusals:
    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [
            exchange
            for exchange in exchanges
            if exchange.reply.outcome is Outcome.ANSWERED and not is_refusal(exchange.reply.text)
        ]
