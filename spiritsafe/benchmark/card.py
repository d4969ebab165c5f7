"""A benchmark card: what one defense did under one fixed protocol, every number with its interval.

The file is `card.json`. It is data alone: nothing found in it is ever built or run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spiritsafe.errors import UserError
from spiritsafe.report.write import write_json

SCHEMA = 1
Unit = Literal["ratio", "points", "rate", "tokens", "dollars"]


class Flag(StrEnum):
    """What a reader must know before comparing a card with another."""

    QUICK = "quick"  # fewer seeds, budgets and items than the whole protocol
    PASSIVE_ONLY = "passive_only"  # no attacker adapted to anything
    UNCALIBRATED_UTILITY = "uncalibrated_utility"  # honest users pay, and not by a utility point of the protocol
    SINGLE_SEED = "single_seed"
    PRIVATE_ATTACK = "private_attack"  # an attack's code is not in this repository: nobody else can run it
    CHANGED_PROTOCOL = "changed_protocol"  # an option differs from the protocol's
    DIRTY_CODE = "dirty_code"  # measured with edits that no commit holds


INADMISSIBLE = frozenset(set(Flag) - {Flag.QUICK, Flag.DIRTY_CODE})


Real = Annotated[float, Field(ge=-1e15, le=1e15)]  # what can be drawn


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Number(_Strict):
    """One statistic with its 95% interval. ``value`` is None where it could not be worked out: ``note`` says why.

    ``gated``: the ratio's ``denominator`` was too near zero, so its numerator stands here in points. ``beyond``: never
    reached, it is more than this. ``at_most``: the first checkpoint was enough. An interval's end may be None where
    some resamples never reached.
    """

    value: Real | None
    low: Real | None
    high: Real | None
    unit: Unit
    note: str | None = None
    gated: bool = False
    denominator: Number | None = None
    beyond: Real | None = None
    at_most: bool = False


class Described(_Strict):
    """``id`` names the defense in one word, ``title`` in a line; ``config`` is what it was built from (data)."""

    id: Annotated[str, Field(pattern=r"^[\w.+@-]+$")]
    title: str
    paper: str = ""  # arXiv number or venue
    family: str = ""
    config: dict[str, Any]
    package: str  # whose code it is, with its version
    control: bool = False  # it knows nothing of students: what any defense must beat at equal cost


class Protocol(_Strict):
    name: str
    version: int
    digest: str  # of all its options
    quick: bool
    targeted: list[str]
    budgets: Annotated[list[int], Field(min_length=1)]  # exchanges
    seeds: int
    items: int  # a task, test split
    attacks: dict[str, str]  # name to what it does, the set that the worst case is taken over
    utility_points: list[float]  # shares of accuracy that a calibrated defense may cost honest users
    headline_point: float  # the one that the score is read at
    teacher: str
    student: str


class Attacked(_Strict):
    """What one attack got at one budget and was billed. ``notes`` say where it came to less than its budget."""

    CT: Number | None
    ST: Number | None
    GAP: Number | None
    R_h: Number | None
    R_b: Number | None
    completion_tokens: int | None
    dollars: float | None
    notes: list[str] = []


class Checkpoint(_Strict):
    """One budget: the worst case, and the safety of the very student that is the worst case."""

    exchanges: Annotated[int, Field(gt=0)]
    CT: Number  # CT*, over all attacks
    worst: str
    ST: Number | None
    GAP: Number | None
    attacks: dict[str, Attacked]


class Ownership(_Strict):
    """Of a defense that marks what it serves: `spiritsafe.measures.ownership`."""

    p: float
    p_clean: float | None
    threshold: float
    tpr: float
    fpr: float
    observations: int
    null: int
    seeds: int


class Point(_Strict):
    """A defense at one utility point. All transfer is the worst case over the attack set."""

    stack: str
    utility_point: float | None  # None: the defense has no strength to calibrate
    strength: dict[str, Any]  # what calibration found
    UC: Number
    UC_flexible: Number | None
    UC_forced: Number | None
    extra_refusals: Number | None
    tokens_multiple: Number | None
    serving: dict[str, float]  # forwards of other models a token, tokens of others a question, work in seconds
    curve: Annotated[list[Checkpoint], Field(min_length=1)]
    CT_AUC: Number
    DE: Number | None
    AC: Number
    AC_dollars: Number
    AC_multiple: Number | None
    ownership: dict[str, Ownership] = {}  # by attack


class Arm(_Strict):
    """A control: mean accuracy on the targeted tasks (answer-forced), and refusals, with Wilson intervals."""

    arm: str
    exchanges: int
    accuracy: Number
    R_h: Number | None
    R_b: Number | None
    invalid: Number | None


class Tuned(_Strict):
    """What an attack chose on the validation split: options, and the score of every candidate there."""

    attack: str
    stack: str
    chosen: dict[str, Any]
    candidates: list[dict[str, Any]]  # {"options": {...}, "accuracy": ..., "items": ...}


class Environment(_Strict):
    versions: dict[str, str]  # spiritsafe, its commit, python, torch, transformers
    platform: str
    created: str  # UTC, ISO 8601
    seconds: float  # of all stages that the card is made of, the shared ones too


class Card(_Strict):
    """``score`` is DE at the protocol's headline utility point, against the worst attack: the share of the undefended
    transfer that the defense removed."""

    schema_version: Literal[1] = 1
    defense: Described
    protocol: Protocol
    score: Number | None
    points: Annotated[list[Point], Field(min_length=1)]
    undefended: Point
    controls: list[Arm]
    tuned: list[Tuned] = []
    flags: dict[Flag, str]  # flag to why it was raised
    keys: dict[str, str]  # content keys of the stages
    code: str  # digest of the measuring code
    environment: Environment
    command: str

    @property
    def admissible(self) -> bool:
        return not INADMISSIBLE & set(self.flags)

    @property
    def headline(self) -> Point:
        """The point that the score is read at."""
        wanted = self.protocol.headline_point
        return next((point for point in self.points if point.utility_point in (None, wanted)), self.points[-1])


def read(path: Path) -> Card:
    """A card from its file. Raises with what is wrong where it is not one."""
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read the card {path} ({error}): give the card.json that a benchmark wrote") from error
    if not isinstance(found, dict) or found.get("schema_version") != SCHEMA:
        raise UserError(f"{path} is no card of schema {SCHEMA}: run the benchmark again with this version")
    try:
        return Card.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"the card {path} does not follow the schema: {where}: {first['msg']} "
            f"({error.error_count()} mistakes in all); do not edit cards, run the benchmark again"
        ) from error


def write(card: Card, path: Path) -> None:
    write_json(path, card.model_dump(mode="json"))
