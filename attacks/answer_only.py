"""Train on answers alone: whatever a defense put into the reasoning, no row holds it. DistillGuard, arXiv 2603.07835,
measures what that costs: 31.4 against 67.8 on MATH without reasoning, and nothing on code.

Deviates: the reasoning was paid for and is thrown away; tokens and log probabilities of the answer stay where they
were shown. Breaker: a skill that is learned from its steps; defenses that change the answer itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from spiritsafe.exchange import Exchange


@dataclass(frozen=True)
class AnswerOnly:
    """Replies that have no text beside their reasoning go."""

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [
            replace(exchange, reply=exchange.reply.without_reasoning())
            for exchange in exchanges
            if exchange.reply.text.strip()
        ]
