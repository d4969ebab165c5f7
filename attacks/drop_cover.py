"""Drop cover traffic: what was asked only to look harmless is no training row. ``attacks.mixing`` needs this cleaner.

Deviates: nothing published; an attacker knows which of its prompts were cover.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Exchange


@dataclass(frozen=True)
class DropCover:
    """``tasks`` name the cover's tasks, as in ``attack.source.cover``."""

    tasks: Collection[str]

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [exchange for exchange in exchanges if exchange.task not in self.tasks and exchange.purpose != "cover"]
