"""Python functions from their docstrings.  Chen et al., arXiv 2107.03374; scored by running the published tests.

Deviates: a chat model is asked for the whole function in a fenced block; a reply that goes on with the bare body, as
the paper's models do, is flexible. Blocks run after the prompt, whose imports and helpers they may use. Many models
have seen these problems in pretraining.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Reply
from spiritsafe.task import Item, Kind, Score, Split
from spiritsafe.tasks.coding import FORCE, anywhere, candidates, fenced, judge, longest, rows
from spiritsafe.tasks.sandbox import Limits, run_all

HUB = ("openai/openai_humaneval", None)
FILES = ("HumanEval.jsonl.gz", "HumanEval.jsonl")
COLUMNS = ("task_id", "prompt", "entry_point", "canonical_solution", "test")
STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")  # of a bare body, from the paper
_INSTRUCTION = "Complete this function. Answer with the whole function in one ```python block.\n\n"


@dataclass
class HumanEval:
    """``path`` is a folder with ``HumanEval.jsonl.gz`` (or unpacked); None reads the hub's set or its cached copy.

    All 164 problems are TEST and the other splits are empty: the set is small, has no training part, and a problem that
    feeds an attacker or a defender is lost to measurement. Let attackers ask another task, such as mbpp.
    """

    path: str | None = None
    instruction: str = _INSTRUCTION
    limits: Limits = Limits()
    name: str = field(default="humaneval", init=False)
    kind: Kind = field(default=Kind.CAPABILITY, init=False)
    force: str = field(default=FORCE, init=False)

    def __post_init__(self) -> None:
        if self.path is not None and not any((Path(self.path) / file).is_file() for file in FILES):
            raise UserError(
                f"task humaneval finds no {FILES[0]} in {self.path}: set task.humaneval.path to a folder that has it, "
                f"or to null to read {HUB[0]} from the hub"
            )

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The problems as published, in their order."""
        return rows(self.name, self.path, FILES, HUB, COLUMNS)

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """At most ``count`` items of TEST, and none of the other splits."""
        shuffled = list(self.rows) if split is Split.TEST else []
        Random(seed).shuffle(shuffled)
        return [self._item(row) for row in shuffled[:count]]

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        return judge(replies[-1], self._programs(item, replies), self.limits)

    def read(self, episodes: Sequence[tuple[Item, Sequence[Reply]]]) -> None:
        """Run the programs of all these replies side by side, so that scoring finds them run."""
        run_all([each for item, replies in episodes for each in self._programs(item, replies) if each], self.limits)

    def _programs(self, item: Item, replies: Sequence[Reply]) -> list[tuple[str, ...] | None]:
        prompt, name = item.meta["prompt"], item.meta["entry_point"]
        tests = f"{item.meta['test']}\n\ncheck({name})\n"

        def continued(text: str, name: str) -> str | None:
            return anywhere(text, name) or _body(prompt, text)

        codes = candidates(replies[-1], name, continued)
        return [None if code is None else (prompt, code, tests) for code in codes]

    def _item(self, row: dict[str, Any]) -> Item:
        question = Message("user", f"{self.instruction}```python\n{row['prompt'].strip()}\n```")
        code = row["prompt"] + row["canonical_solution"]
        name = row["task_id"].lower().replace("/", "-")
        return Item(name, (question,), code, (Message("assistant", fenced(code)),), meta=row)


def _body(prompt: str, text: str) -> str | None:
    """The prompt continued by a bare body."""
    body = min((text.partition(mark)[0] for mark in (*STOP, "\n```")), key=len).strip("\n")
    return longest(prompt.rstrip() + "\n", body) if re.match(r"[ \t]+\S", body) else None
