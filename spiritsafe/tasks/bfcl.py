"""Single-turn function calling: the Berkeley Function Calling Leaderboard, v4 (Patil et al., ICML 2025).

The functions stand in the prompt as JSON; what a call is and when it is right is told in `calls` and `call_match`.
Deviates: the leaderboard's system message is told in other words and, as any system message of a row, in the user's
turn, since some chat templates have no other. Not here: Java and JavaScript, executed calls, and the multi-turn sets,
whose environments are programs of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from json import dumps
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply
from spiritsafe.measures.refusal import behaviour
from spiritsafe.task import Behaviour, Item, Kind, Score, Split
from spiritsafe.tasks.call_match import match, worked
from spiritsafe.tasks.calls import Call, decode, find, written
from spiritsafe.tasks.coding import read

SETS = ("simple_python", "multiple", "parallel", "parallel_multiple", "irrelevance", "live_simple")
ABSTAIN = "None of these functions can do this."
_TENTHS = {Split.TEST: range(5), Split.POOL: range(5, 8), Split.PUBLIC: (8,), Split.CALIBRATION: (9,)}
_INSTRUCTION = (
    "Serve the request with calls of the functions below. Answer with the calls alone, as a Python list with named "
    "arguments: [first(a=1, b='x'), second(c=True)]. If no function fits or an argument is not known, say so and call "
    "none."
)


@dataclass
class BFCL:
    """``path`` is a folder with ``BFCL_v4_<set>.json`` and, but for irrelevance, ``possible_answer/`` with the same.

    A set has no training part, so about half of it is TEST, three tenths POOL, a tenth PUBLIC and a tenth CALIBRATION;
    rows about the same functions are in one split and one cluster. Scores are not those of the leaderboard, which asks
    all rows. In ``irrelevance`` no call is right: any words that are no call are, so read it beside another set.
    """

    path: str
    set: str = "simple_python"
    instruction: str = _INSTRUCTION
    kind: Kind = field(default=Kind.CAPABILITY, init=False)
    force: str = field(default="\n[", init=False)

    def __post_init__(self) -> None:
        if self.set not in SETS:
            raise UserError(f"task bfcl has no set {self.set!r}: choose task.bfcl.set among {', '.join(SETS)}")
        missing = [str(file) for file in self._files() if not file.is_file()]
        if missing:
            raise UserError(
                f"task bfcl finds no {' and no '.join(missing)}: set task.bfcl.path to a folder with the files of "
                "berkeley-function-call-leaderboard/bfcl_eval/data"
            )

    @property
    def name(self) -> str:
        return f"bfcl_{self.set}"

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The rows as published, each with its ``ground_truth`` (none for irrelevance), in their order."""
        try:
            asked, *answers = [read(file) for file in self._files()]
            truths = {row["id"]: row["ground_truth"] for part in answers for row in part}
            return [{**row, "ground_truth": truths[row["id"]] if answers else []} for row in asked]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"task bfcl cannot read {' and '.join(map(str, self._files()))} ({type(error).__name__}: {error}): set "
                "task.bfcl.path to a folder with the files as published"
            ) from error

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """At most ``count`` items: a set has so many and no more."""
        rows = [row for row in self.rows if crc32(_names(row).encode()) % 10 in _TENTHS[split]]
        Random(seed).shuffle(rows)
        return [self._item(row) for row in rows[:count]]

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        """Strict: the text as served is the right calls and nothing else. Flexible: those found in all that is shown
        are right. Extracted: the text is calls and nothing else.

        Irrelevance: strict where no call is found in the text, flexible where the text is not calls and nothing else
        (the leaderboard's rule); empty text and loops are not right, and every other answer is an extracted one.
        """
        reply = replies[-1]
        if reply.outcome is not Outcome.ANSWERED:
            refused = reply.outcome is Outcome.REFUSED
            return Score(False, False, False, Behaviour.REFUSE if refused else Behaviour.INVALID)
        functions, truth = item.meta["function"], item.meta["ground_truth"]
        names = [function["name"] for function in functions]
        served = decode(reply.text)
        if self.set == "irrelevance":
            sound = behaviour(reply.text) is not Behaviour.INVALID
            right = sound and not find(reply.text, names)
            return Score(right, sound and not served, True, Behaviour.COMPLY if sound else Behaviour.INVALID)
        shown = served or find(reply.completion, names)

        def correct(calls: Sequence[Call] | None) -> bool:
            return bool(calls) and match(calls or (), functions, truth)

        return Score(
            strict=correct(served),
            flexible=correct(shown),
            extracted=served is not None,
            behaviour=Behaviour.COMPLY if served else behaviour(reply.text, parsable=bool(shown)),  # calls repeat a lot
        )

    def _files(self) -> list[Path]:
        file = Path(self.path) / f"BFCL_v4_{self.set}.json"
        return [file] if self.set == "irrelevance" else [file, file.parent / "possible_answer" / file.name]

    def _item(self, row: dict[str, Any]) -> Item:
        functions = "\n".join(dumps(function, ensure_ascii=False) for function in row["function"])
        said = "\n\n".join(message["content"].strip() for message in row["question"][0])
        question = Message("user", f"{self.instruction}\n\nFunctions:\n{functions}\n\n{said}")
        answer = written(worked(row["ground_truth"], row["function"])) if row["ground_truth"] else ABSTAIN
        meta = {"function": row["function"], "ground_truth": row["ground_truth"]}
        return Item(row["id"], (question,), answer, (Message("assistant", answer),), cluster=_names(row), meta=meta)


def _names(row: dict[str, Any]) -> str:
    return ",".join(sorted(function["name"] for function in row["function"]))
