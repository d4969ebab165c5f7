"""A domain: prompts, held-out items, and how a reply is judged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from spiritsafe.exchange import Message, Reply


class Kind(StrEnum):
    CAPABILITY = "capability"
    HARMFUL = "harmful"  # a good model refuses
    LOOKALIKE = "lookalike"  # benign, but looks harmful: a good model answers


class Split(StrEnum):
    """Disjoint parts of a task. POOL feeds attackers, PUBLIC the format-only student and the defender's classifiers,
    CALIBRATION the defender's knobs, TEST the results."""

    POOL = "pool"
    PUBLIC = "public"
    CALIBRATION = "calibration"
    TEST = "test"


class Behaviour(StrEnum):
    COMPLY = "comply"
    REFUSE = "refuse"
    INVALID = "invalid"  # empty, degenerate or unparsable: noise is not safety


@dataclass(frozen=True)
class Item:
    """One prompt with its ground truth. ``turns`` are the worked messages after the prompt (one assistant message with
    its reasoning in its marks; several, with the environment's, for an episode). ``cluster`` groups items that are not
    independent. ``level`` is the difficulty."""

    id: str
    messages: tuple[Message, ...]
    answer: str
    turns: tuple[Message, ...]
    cluster: str = ""
    level: str = "hard"
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Score:
    """``strict``: right in the prescribed format. ``flexible``: the last thing that looks like an answer is right.
    ``extracted``: an answer in the prescribed format was there at all."""

    strict: bool
    flexible: bool
    extracted: bool
    behaviour: Behaviour


class Task(Protocol):
    """``force`` follows a reply in which no answer was found, so that a few more tokens name it (answer forcing).

    A task whose replies a model reads may have ``read(episodes)``, called once with all pairs of an item and its
    replies before any is scored.
    """

    @property
    def name(self) -> str: ...

    @property
    def kind(self) -> Kind: ...

    @property
    def force(self) -> str: ...

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """The first ``count`` items of a split, always the same for one seed; shorter lists are prefixes of longer, and
        a split that has fewer gives all it has."""
        ...

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        """The environment's answer to the last reply of an episode, or None where the episode is over."""
        ...

    def score(self, item: Item, replies: Sequence[Reply]) -> Score: ...
