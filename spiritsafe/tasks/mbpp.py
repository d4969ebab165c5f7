"""Mostly basic Python problems, the hand-checked part.  Austin et al., arXiv 2108.07732; scored by running its asserts.

Deviates: zero-shot, with a fenced block in place of [BEGIN] and [DONE]; as in the paper the asserts are shown, which
also name the function. Many models have seen these problems in pretraining.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Reply
from spiritsafe.task import Item, Kind, Score, Split
from spiritsafe.tasks.coding import FORCE, candidates, fenced, judge, rows
from spiritsafe.tasks.sandbox import Limits, run_all

HUB = ("google-research-datasets/mbpp", "sanitized")
FILES = ("sanitized-mbpp.json",)
COLUMNS = ("task_id", "prompt", "code", "test_imports", "test_list")
_INSTRUCTION = "Answer with the code in one ```python block."


@dataclass
class MBPP:
    """``path`` is a folder with ``sanitized-mbpp.json``; None reads the hub's set or its cached copy.

    TEST is the paper's test split (ids 11 to 510: 257 problems) and CALIBRATION its validation split (511 to 600: 43).
    Of its 127 others, a quarter is PUBLIC (32) and the rest POOL (95).
    """

    path: str | None = None
    instruction: str = _INSTRUCTION
    limits: Limits = Limits()
    name: str = field(default="mbpp", init=False)
    kind: Kind = field(default=Kind.CAPABILITY, init=False)
    force: str = field(default=FORCE, init=False)

    def __post_init__(self) -> None:
        if self.path is not None and not (Path(self.path) / FILES[0]).is_file():
            raise UserError(
                f"task mbpp finds no {FILES[0]} in {self.path}: set task.mbpp.path to a folder that has it, or to null "
                f"to read {HUB[0]} from the hub"
            )

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The problems as published, by id."""
        return sorted(rows(self.name, self.path, FILES, HUB, COLUMNS), key=lambda row: int(row["task_id"]))

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """At most ``count`` items: the set has so many and no more."""
        others = [row for row in self.rows if not 11 <= row["task_id"] <= 600]
        parts = {
            Split.TEST: [row for row in self.rows if 11 <= row["task_id"] <= 510],
            Split.CALIBRATION: [row for row in self.rows if 511 <= row["task_id"] <= 600],
            Split.PUBLIC: others[::4],
            Split.POOL: [row for place, row in enumerate(others) if place % 4],
        }
        Random(seed).shuffle(parts[split])
        return [self._item(row) for row in parts[split][:count]]

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        return judge(replies[-1], self._programs(item, replies), self.limits)

    def read(self, episodes: Sequence[tuple[Item, Sequence[Reply]]]) -> None:
        """Run the programs of all these replies side by side, so that scoring finds them run."""
        run_all([each for item, replies in episodes for each in self._programs(item, replies) if each], self.limits)

    def _programs(self, item: Item, replies: Sequence[Reply]) -> list[tuple[str, ...] | None]:
        imports, tests = ("\n".join(item.meta[part]) for part in ("test_imports", "test_list"))
        codes = candidates(replies[-1], item.meta["name"])
        return [None if code is None else (imports, code, tests) for code in codes]

    def _item(self, row: dict[str, Any]) -> Item:
        tests = "\n".join(row["test_list"])
        question = f"{row['prompt'].strip()} It should pass these tests:\n\n{tests}\n\n{self.instruction}"
        worked = Message("assistant", fenced(row["code"]))
        meta = {**row, "name": _tested(row)}
        return Item(f"mbpp-{row['task_id']}", (Message("user", question),), row["code"], (worked,), meta=meta)


def _tested(row: dict[str, Any]) -> str:
    """The function of the solution that the first assert calls."""
    defined = {node.name for node in ast.parse(row["code"]).body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    used = [node.id for node in ast.walk(ast.parse(row["test_list"][0])) if isinstance(node, ast.Name)]
    name = next((name for name in used if name in defined), None)
    if name is None:
        raise UserError(
            f"problem {row['task_id']} of mbpp tests nothing that its solution defines: the file is not MBPP"
        )
    return name
