"""Let the teacher clean up after its own defense: a second call asks it to write the solution again, cleanly.

The cleaner preset of the campaigns reported in 2026: what a defense has spoiled in one reply is not spoiled the same
way in the next, and an own answer is easier to repeat than to find. Published defaults: none. Breakers: a defense that
acts on the second reply as on the first; traffic detection, since half of all calls quote the teacher. Deviates: the
sentence is ours. The second call is charged: the same budget buys half the questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from attacks.follow_ups import AsksAgain, named, parted
from spiritsafe.exchange import Exchange, Outcome

KIND = "cleaned"


@dataclass(frozen=True)
class TeacherCleaner(AsksAgain):
    """``text`` asks the teacher to clean up."""

    text: str = "Write the solution above again, cleanly, and end with the same answer."
    kind: ClassVar[str] = KIND


@dataclass(frozen=True)
class UseCleaned:
    """The cleaner that belongs to it: the second reply stands under the first question. A reply whose cleaning brought
    nothing stays, or goes where ``only`` is set. Its log probabilities are those of the second question."""

    only: bool = False

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        others, cleaned = parted(exchanges, KIND)
        kept = []
        for exchange in others:
            second = cleaned.get(named(exchange, KIND))
            if second and second.reply.outcome is Outcome.ANSWERED and second.reply.completion.strip():
                kept.append(replace(exchange, reply=second.reply))
            elif not self.only:
                kept.append(exchange)
        return kept
