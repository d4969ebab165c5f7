"""Ask after public worked examples, shown as earlier turns, so that a reply is worked out in the open like them.

By category the demonstration attack of REP (EMNLP 2026, arXiv 2606.00642), which shows k = 3 traces of a shadow model
in a wrapper; no wrapper text is used here. Breakers: a detector that knows its demonstrations; hidden reasoning, where
the model keeps its channels apart. Deviates: the demonstrations are the tasks' public ones, those most like the
question, the most alike last.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attacks.plain import Plain
from attacks.wording import bags, question
from spiritsafe.attack import Elicitor
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Request
from spiritsafe.interface import Interface
from spiritsafe.task import Item, Kind, Split, Task


@dataclass
class FewShot:
    """``k`` of the ``public`` demonstrations a capability task among ``tasks`` (``${task}`` in a config) come before
    the question, after any system message. ``reasoning`` shows how they were worked out, as text; without it, the
    answer alone. ``elicitor`` asks the rest."""

    tasks: Mapping[str, Task]
    k: int = 3
    public: int = 32
    seed: int = 0
    reasoning: bool = True
    elicitor: Elicitor = field(default_factory=Plain)

    def __post_init__(self) -> None:
        if not 1 <= self.k <= self.public:
            raise UserError(
                f"attack.elicitor shows 1 to {self.public} demonstrations, not {self.k}: set k, or public to k or more"
            )
        if not any(task.kind is Kind.CAPABILITY for task in self.tasks.values()):
            raise UserError("there is nothing to demonstrate: set attack.elicitor.tasks=${task} with a capability")

    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request:
        start = sum(message.role == "system" for message in messages[:1])
        shown = [message for place in self._nearest(messages) for message in self._shown[place]]
        return self.elicitor.wrap(request_id, [*messages[:start], *shown, *messages[start:]], interface)

    def unwrap(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """The conversation without the demonstrations."""
        start = sum(message.role == "system" for message in messages[:1])
        known, end = set(self._shown), start
        while tuple(messages[end : end + 2]) in known:
            end += 2
        return (*messages[:start], *messages[end:])

    def _nearest(self, messages: Sequence[Message]) -> list[int]:
        """By the first question, so that an episode keeps its demonstrations to the end."""
        first = [message for message in messages if message.role == "user"][:1]
        likeness = self._bags @ bags([question(first)])[0]
        return np.argsort(-likeness, kind="stable")[: self.k][::-1].tolist()

    @cached_property
    def _shown(self) -> list[tuple[Message, Message]]:
        """Question and first worked turn of each item."""
        capable = [task for task in self.tasks.values() if task.kind is Kind.CAPABILITY]
        items = [item for task in capable for item in task.items(Split.PUBLIC, self.public, self.seed)]
        if len(items) < self.k:
            raise UserError(f"there are {len(items)} public demonstrations: set attack.elicitor.k to that or less")
        return [(Message("user", question(item.messages)), Message("assistant", self._worked(item))) for item in items]

    @cached_property
    def _bags(self) -> NDArray[np.float32]:
        return bags([asked.content for asked, _ in self._shown])

    def _worked(self, item: Item) -> str:
        turn = item.turns[0].content
        reasoning, closed, text = turn.rpartition(END_THINK)
        if not closed:
            return text.strip()
        reasoning = reasoning.replace(THINK, "").strip()
        return f"{reasoning} {text.strip()}" if self.reasoning else text.strip()
