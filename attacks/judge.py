"""Let the teacher judge its own reply: a second call asks whether the solution is right, and what it denies is dropped.

A model as the judge of replies (Zheng et al., NeurIPS 2023, arXiv 2306.05685), here the one judge that knows the skill;
judgements are among what the campaigns reported in 2026 bought. Published defaults: none that fit. Breakers: a teacher
that approves of itself; a defense that lies in both calls. Deviates: yes or no in place of a grade. The second call is
charged: the same budget buys half the questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from attacks.follow_ups import AsksAgain, named, parted
from attacks.wording import words
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply

KIND = "judged"


@dataclass(frozen=True)
class TeacherJudge(AsksAgain):
    """``text`` asks for the judgement."""

    text: str = "Is the solution above right? Answer with yes or no."
    kind: ClassVar[str] = KIND


@dataclass(frozen=True)
class KeepJudged:
    """The cleaner that belongs to it: replies judged right stay. Where no judgement came, or one without either word,
    they go unless ``unjudged`` is set."""

    yes: str = "yes"
    no: str = "no"
    unjudged: bool = False

    def __post_init__(self) -> None:
        if len(words(self.yes)) != 1 or len(words(self.no)) != 1 or words(self.yes) == words(self.no):
            raise UserError("a judgement is one word or another: set yes and no of KeepJudged to two different words")

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        others, judged = parted(exchanges, KIND)
        verdicts = {name: self.verdict(each.reply) for name, each in judged.items()}
        return [each for each in others if self._keeps(verdicts.get(named(each, KIND)))]

    def verdict(self, reply: Reply) -> bool | None:
        """The last of the two words in the visible text; None where neither is there."""
        said = words(reply.text) if reply.outcome is Outcome.ANSWERED else []
        sides = {words(self.yes)[0]: True, words(self.no)[0]: False}
        return next((sides[word] for word in reversed(said) if word in sides), None)

    def _keeps(self, verdict: bool | None) -> bool:
        return self.unjudged if verdict is None else verdict
