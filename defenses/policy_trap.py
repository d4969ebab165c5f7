"""A demonstration that nobody asked for: the reasoning ends with another exchange, in the marks of the model's own chat
format, in which a restricted request is refused. Ours; no paper, no published default.

    reasoning  →  <its reasoning> <user> <a restricted request> <assistant> <the teacher's refusal>

Assumption: the attacker's pipeline tokenises served text with its special marks, as tokenizers do by default, so that
what follows the mark of an assistant's turn is trained as one. A student then meets restricted requests with a
refusal at the very place where its own answers begin; no other request springs it, and what it springs is the teacher's
policy. It is not free of other effects: what is learned of the added text is not learned of the skill.
Cost: the tokens of one exchange in each marked reply, and odd text at the end of the reasoning; answers are untouched,
and readers who hide the reasoning see nothing. Breakers: cutting the reasoning at the first chat mark, tokenising it
without marks (``split_special_tokens``), dropping rows that hold a refusal anywhere, training on answers alone.
A student that never could refuse learns nothing from so few; one that could keeps a part of it.
Deviates: an exchange after the *answer* is the plainer idea, but it is seen by every filter that reads answers, and
breaks the programs of honest users that parse them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from random import Random

from defenses.primitives.seeding import Refusal, Seeding
from spiritsafe.defense import Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Request
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class PolicyTrap(Seeding):
    """``strength`` is the share of marked replies; a larger one costs the student's skill too."""

    strength: float = 0.1
    prompts: int = 24
    turns: dict[Refusal, str] = field(default_factory=dict, init=False, repr=False)

    def check(self, teacher: LanguageModel) -> None:
        if not self.strength:
            return
        if not teacher.tokenizer.chat_template:
            raise UserError(
                f"policy_trap needs the chat format of {teacher.name}, which has none: set teacher.chat_template, or "
                "use refusal_seeding"
            )
        if any(mark in _turn(teacher, [Message("user", "")]) for mark in (THINK, END_THINK)):
            raise UserError(
                f"the chat format of {teacher.name} opens or closes the reasoning itself, which would end it early "
                "here: set teacher.chat_template to one that does not, or use refusal_seeding"
            )

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        super().prepare(preparation)
        self.turns = {refusal: _turn(preparation.teacher, refusal.messages) for refusal in self.refusals}

    def seeded(self, request: Request, trace: str, refusal: Refusal, chance: Random) -> str:
        return f"{trace} {self.turns[refusal]}{refusal.text}"


def _turn(teacher: LanguageModel, messages: Sequence[Message]) -> str:
    """A conversation up to where the assistant begins."""
    return str(
        teacher.tokenizer.apply_chat_template(
            [asdict(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
    )
