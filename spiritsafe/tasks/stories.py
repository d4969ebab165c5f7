"""Go on with a story: plain language modelling on any text file, for models that follow no instructions.

A story has no right answer. ``score`` asks the one question with a ground truth, whether the reply's first word is the
story's next word; this is next-word accuracy, low for every model. How well a model knows the stories is measured on
the same items by ``spiritsafe.measures.nll`` and ``spiritsafe.measures.fidelity``.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from random import Random
from typing import ClassVar

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply
from spiritsafe.task import Behaviour, Item, Kind, Score, Split

_TENTHS = {Split.POOL: range(6), Split.PUBLIC: (6,), Split.CALIBRATION: (7,), Split.TEST: (8, 9)}


@dataclass
class Stories:
    """Stories of a text file, parted by ``separator``; its first and last piece may be cut and are left out.

    The prompt is a story's first ``words`` words, the worked turn its next ``continuation`` words as they stand, the
    space before them included. Splits take stories by their index, so no story is in two of them.
    """

    path: str
    words: int = 16
    continuation: int = 48
    separator: str = "<|endoftext|>"
    name: ClassVar[str] = "stories"
    kind: ClassVar[Kind] = Kind.CAPABILITY
    force: ClassVar[str] = ""

    def __post_init__(self) -> None:
        if self.words < 1 or self.continuation < 1:
            raise UserError(
                "a story needs a prompt and a continuation: set words and continuation of task stories to 1 or more"
            )

    @cached_property
    def texts(self) -> list[str]:
        """Every whole story that is longer than a prompt, in the file's order."""
        try:
            content = Path(self.path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(
                f"cannot read the stories in {self.path!r} ({error}): set the path of task stories"
            ) from error
        pieces = [piece.strip() for piece in content.split(self.separator)[1:-1]]
        found = [piece for piece in pieces if len(piece.split(maxsplit=self.words)) > self.words]
        if not found:
            raise UserError(
                f"{self.path!r} has no whole story of more than {self.words} words: "
                f"give a text file with {self.separator!r} between stories, or fewer words"
            )
        return found

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """At most ``count`` items: a file has so many stories and no more."""
        indices = [index for index in range(len(self.texts)) if index % 10 in _TENTHS[split]]
        Random(seed).shuffle(indices)
        return [self._item(index) for index in indices[:count]]

    def _item(self, index: int) -> Item:
        story = self.texts[index]
        ends = [word.end() for word in re.finditer(r"\S+", story)][: self.words + self.continuation]
        cut = ends[self.words - 1]
        continuation = story[cut : ends[-1]]
        return Item(
            id=f"{self.name}-{index}",
            messages=(Message("user", story[:cut]),),
            answer=continuation.split(maxsplit=1)[0],
            turns=(Message("assistant", continuation),),
            cluster=str(index),
        )

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        """``strict``: the next word to the letter; ``flexible``: but for case and punctuation."""
        reply = replies[-1]
        words = reply.text.split(maxsplit=1)
        if reply.outcome is not Outcome.ANSWERED or not words:
            gateway = reply.outcome in (Outcome.REFUSED, Outcome.THROTTLED, Outcome.BANNED)
            return Score(False, False, False, Behaviour.REFUSE if gateway else Behaviour.INVALID)
        return Score(
            strict=words[0] == item.answer,
            flexible=_bare(words[0]) == _bare(item.answer),
            extracted=True,
            behaviour=Behaviour.COMPLY,
        )


def _bare(word: str) -> str:
    return re.sub(r"\W", "", word).lower()
