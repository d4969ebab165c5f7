"""Drop exact duplicates and degenerate traces, the first cleaner of Libon et al., arXiv 2606.25059: what a poisoned or
looping teacher served is not worth a training row.

Deviates: the paper gives no threshold for repetition; ``repeated`` is ours, the share of 4-grams that occurred before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Exchange, Message
from spiritsafe.measures.refusal import repetition


@dataclass(frozen=True)
class Deduplicate:
    """The first of equal (conversation, prefill, completion) stays; empty completions and loops go."""

    repeated: float = 0.5

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        kept: dict[tuple[tuple[Message, ...], str, str], Exchange] = {}
        for exchange in exchanges:
            completion = exchange.reply.completion
            if completion.strip() and repetition(completion) <= self.repeated:
                kept.setdefault((exchange.request.messages, exchange.request.prefill, completion), exchange)
        return list(kept.values())
