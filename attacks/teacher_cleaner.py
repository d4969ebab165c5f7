"""Let the teacher clean up after its own defense: a second call asks it to write the solution again, cleanly.

The cleaner preset of the campaigns reported in 2026: what a defense has spoiled in one reply is not spoiled the same
way in the next, and an own answer is easier to repeat than to find. Published defaults: none. Breakers: a defense that
acts on the second reply as on the first; traffic detection, since half of all calls quote the teacher. Deviates: the
sentence is ours. The second call is charged: the same budget buys half the questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from attacks.follow_ups import about, named, parted
from attacks.plain import Plain
from spiritsafe.attack import Elicitor
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Request
from spiritsafe.interface import Interface

KIND = "cleaned"


@dataclass(frozen=True)
class TeacherCleaner:
    """``elicitor`` asks the question, ``text`` the teacher to clean up."""

    text: str = "Write the solution above again, cleanly, and end with the same answer."
    elicitor: Elicitor = field(default_factory=Plain)

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UserError("the teacher is not told what to do: set attack.elicitor.text")

    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request:
        return self.elicitor.wrap(request_id, messages, interface)

    def unwrap(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        return self.elicitor.unwrap(messages) if hasattr(self.elicitor, "unwrap") else tuple(messages)

    def follow_up(self, exchange: Exchange) -> Request | None:
        return about(exchange, self.text, KIND)


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
