"""Replies on some skills whose reasoning carries the teacher's own refusal of another request."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from defenses.primitives.queries import QueryClassifier
from defenses.primitives.sentences import drawn, reasons, with_reasoning
from spiritsafe.defense import Defense, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, Message, Reply, Request
from spiritsafe.measures.refusal import is_refusal
from spiritsafe.randomness import stream_key


@dataclass(frozen=True)
class Refusal:
    """A conversation and how the teacher itself declined to go on with it."""

    messages: tuple[Message, ...]
    text: str

    @property
    def asked(self) -> str:
        return said(self.messages)


@dataclass(kw_only=True)
class Seeding(Defense, ABC):
    """Replies on some skills whose reasoning carries a refusal of another request.

    ``strength`` is their share of the replies on ``skills``, which are told by a classifier of public traffic that
    gives them at least ``threshold``; 0 changes nothing. ``prompts`` of the ``harmful`` tasks are asked for refusals.
    ``key`` and the request's id draw which replies and which refusal.
    """

    strength: float = 0.25
    harmful: Sequence[str] = ("restricted",)
    skills: Sequence[str] = ("recipes",)
    prompts: int = 128
    threshold: float = 0.5
    key: int = 0
    refusals: list[Refusal] = field(default_factory=list, init=False, repr=False)
    classifier: QueryClassifier | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not (0 <= self.strength <= 1 and 0 <= self.threshold <= 1 and self.prompts >= 1):
            raise UserError(
                f"{type(self).__name__} needs strength and threshold from 0 to 1 and prompts >= 1, got "
                f"strength={self.strength}, threshold={self.threshold}, prompts={self.prompts}"
            )

    def prepare(self, preparation: Preparation) -> None:
        if not self.strength:
            return
        answers = [
            Refusal(trace.messages, trace.completion.rpartition(END_THINK)[2].strip())
            for trace in preparation.traces(self.prompts, tasks=list(self.harmful))
        ]
        self.refusals = [answer for answer in answers if is_refusal(answer.text)]
        if not self.refusals:
            raise UserError(
                f"{type(self).__name__} found no refusal in {len(answers)} replies to {list(self.harmful)}: there is "
                "no policy to pass on; set harmful to tasks that this teacher refuses, or raise prompts"
            )
        self.classifier = QueryClassifier.fitted(preparation, self.skills, 1024)

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        if not self.strength or not reasons(request, reply) or not drawn(request, self.strength, self.key):
            return reply
        assert self.classifier is not None, "prepare() fits the classifier"
        if self.classifier.of(request) < self.threshold:
            return reply
        chance = Random(stream_key(self.key, request.id, 1))
        trace = f" {self.seeded(request, (reply.reasoning or '').strip(), chance.choice(self.refusals), chance)} "
        return with_reasoning(reply, trace)

    @abstractmethod
    def seeded(self, request: Request, trace: str, refusal: Refusal, chance: Random) -> str:
        """The trace with the refusal in it; neither has space around it."""

    def summary(self) -> dict[str, Any]:
        rates = self.classifier.rates(self.threshold) if self.classifier else {}
        return {"refusals": len(self.refusals), **rates} if self.refusals else {}


def said(messages: Sequence[Message]) -> str:
    """The last thing a user asked."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")
