"""Who says whether a reply refuses. Every one of them errs, so each is calibrated on labelled outputs (`detector`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from spiritsafe.measures.refusal import PHRASES, is_refusal


class Scorer(Protocol):
    def refused(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """Whether each reply refuses; ``pairs`` are an original request, as it was before any attack, and its reply."""
        ...


@dataclass
class StringMatch:
    """Phrases in the opening of a reply. Misses what is declined in other words: on XSTest 4 to 80% of refusals, by
    model."""

    phrases: Sequence[str] = PHRASES

    def refused(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [is_refusal(reply, self.phrases) for _, reply in pairs]
