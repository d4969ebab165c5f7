"""Keep only what the teacher declined in words: the third arm of the ablation {keep, drop, keep only refusals}. A few
hundred refusals, about 3 % of the rows, restore safety in Safety-Tuned LLaMAs (Bianchi et al., ICLR 2024,
arXiv 2309.07875); many more make a model refuse what is harmless.

Rows stay where ``is_refusal`` matches the answer; the opposite of drop_refusals. Breaker: a teacher that declines in
other words. Deviates: string matching; gateway refusals hold no words, so they go.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Exchange, Outcome
from spiritsafe.measures.refusal import is_refusal


@dataclass(frozen=True)
class KeepRefusals:
    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [
            exchange
            for exchange in exchanges
            if exchange.reply.outcome is Outcome.ANSWERED and is_refusal(exchange.reply.text)
        ]
