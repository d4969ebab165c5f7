"""Refusals inside useful reasoning: what leaks of a dual-use skill takes along the policy that goes with it. No paper
does this; near are a few per cent of refusals in benign tuning data (Safety-Tuned LLaMAs, arXiv 2309.07875) and
deliberative alignment, where the policy is reasoned about before the answer.

    reasoning  →  in random order,  <its request> : <its reasoning>   and   <a restricted request> : <its refusal> ;

The refusal is the teacher's own, and the answer is untouched, so a filter that looks for refusals in answers keeps the
row. As the order is random, what follows a request depends on what it asks for and not on its place. Default: the share
is ours (the literature mixes in 1 to 10 %).
Breakers: dropping the rows, or the steps, that hold a refusal anywhere; training on answers alone. Dropping rows is
nearly free at a small share and costs the attacker the skill at share 1; dropping steps is nearly free at any.
Deviates: it is words in place of a policy that the teacher itself reasons about. In the reference world it does not do
what it is for: a student learns to refuse inside its reasoning, at share 1 nearly always, and answers all the
same, while the added text costs it skill. policy_trap carries some refusals to where they count.
"""

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


@dataclass(kw_only=True)
class RefusalSeeding(Seeding):
    """``case`` introduces a case, with {request}: its first ``words`` (null: all of them)."""

    case: str = "{request} :"
    words: int | None = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{request}" not in self.case or (self.words is not None and self.words < 1):
            raise UserError(
                "refusal_seeding needs {request} in its case and words >= 1 (or null), got "
                f"case={self.case!r}, words={self.words}"
            )

    def seeded(self, request: Request, trace: str, refusal: Refusal, chance: Random) -> str:
        cases = [f"{self._named(said(request.messages))} {trace}", f"{self._named(refusal.asked)} {refusal.text} ;"]
        chance.shuffle(cases)
        return " ".join(cases)

    def _named(self, asked: str) -> str:
        return self.case.replace("{request}", " ".join(asked.split()[: self.words]))


def said(messages: Sequence[Message]) -> str:
    """The last thing a user asked."""
    return next((message.content for message in reversed(messages) if message.role == "user"), "")
