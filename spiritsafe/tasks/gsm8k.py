"""Grade-school mathematics in words.  Cobbe et al., arXiv 2110.14168; scored as in lm-evaluation-harness' ``gsm8k``.

Deviates: the calculator marks ``<<...>>`` are taken out of the worked solutions, demonstrations are earlier turns of
the conversation, and answers are compared as numbers. Many models have seen these problems in pretraining.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply
from spiritsafe.measures.answers import flexible, same, strict
from spiritsafe.measures.refusal import behaviour
from spiritsafe.task import Behaviour, Item, Kind, Score, Split

HUB = "openai/gsm8k"
SHOWN = 8  # the first rows of the train file are kept for demonstrations and are in no split
_TENTHS = {Split.POOL: range(8), Split.PUBLIC: (8,), Split.CALIBRATION: (9,)}
_INSTRUCTION = "Solve the problem step by step. End with a line that holds #### and the number.\n\n"


@dataclass
class GSM8K:
    """``path`` is a folder with ``train.jsonl`` and ``test.jsonl`` (columns question, answer); None reads the hub's
    set, or its cached copy where there is no network. POOL, PUBLIC and CALIBRATION are disjoint parts of train.

    ``shots`` worked examples come before every question. For a teacher that opens its reply with reasoning marks, begin
    ``force`` with the closing one.
    """

    path: str | None = None
    shots: int = 0
    instruction: str = _INSTRUCTION
    force: str = "\n####"
    name: str = field(default="gsm8k", init=False)
    kind: Kind = field(default=Kind.CAPABILITY, init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.shots <= SHOWN:
            raise UserError(f"task gsm8k shows 0 to {SHOWN} worked examples, not {self.shots}: set task.gsm8k.shots")
        missing = [] if self.path is None else [file for file in self._files().values() if not Path(file).is_file()]
        if missing:
            raise UserError(
                f"task gsm8k finds no {' and no '.join(missing)}: give a folder with train.jsonl and test.jsonl as its "
                f"path, or none to read {HUB} from the hub"
            )

    @cached_property
    def rows(self) -> dict[str, list[dict[str, str]]]:
        """The two parts as published, in their order."""
        from datasets import load_dataset

        source: dict[str, Any] = {"path": HUB, "name": "main"}
        if self.path is not None:
            source = {"path": "json", "data_files": self._files()}
        try:
            loaded = load_dataset(**source)
            return {part: [{"question": r["question"], "answer": r["answer"]} for r in loaded[part]] for part in loaded}
        except Exception as error:  # datasets raises many kinds for one thing: it is not there, or not this
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"task gsm8k cannot read {self.path or HUB} ({type(error).__name__}: {reason}): give a folder with "
                "train.jsonl and test.jsonl as its path (columns question and answer), or load it once with a network: "
                f"python -c \"import datasets; datasets.load_dataset('{HUB}', 'main')\""
            ) from error

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        """At most ``count`` items: the set has so many and no more."""
        part = "test" if split is Split.TEST else "train"
        indices = list(range(len(self.rows[part])))
        if split is not Split.TEST:
            indices = [index for index in indices[SHOWN:] if index % 10 in _TENTHS[split]]
        Random(seed).shuffle(indices)
        return [self._item(part, index) for index in indices[:count]]

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        """Strict reads the visible text as served; flexible reads all that is shown, reasoning too."""
        reply = replies[-1]
        if reply.outcome is not Outcome.ANSWERED:
            refused = reply.outcome is Outcome.REFUSED
            return Score(False, False, False, Behaviour.REFUSE if refused else Behaviour.INVALID)
        served, anywhere = strict(reply.text), flexible(reply.completion)
        return Score(
            strict=same(served, item.answer),
            flexible=same(anywhere, item.answer),
            extracted=served is not None,
            behaviour=behaviour(reply.text, parsable=anywhere is not None),
        )

    def _files(self) -> dict[str, str]:
        return {part: str(Path(self.path or "") / f"{part}.jsonl") for part in ("train", "test")}

    def _item(self, part: str, index: int) -> Item:
        shown = [message for row in self.rows["train"][: self.shots] for message in self._turn(row)]
        question, worked = self._turn(self.rows[part][index])
        answer = strict(worked.content)
        if answer is None:
            raise UserError(f"row {index} of gsm8k's {part} has no '#### number' in its answer: the file is not GSM8K")
        return Item(f"gsm8k-{part}-{index}", (*shown, question), answer.replace(",", ""), (worked,))

    def _turn(self, row: dict[str, str]) -> tuple[Message, Message]:
        question = Message("user", f"{self.instruction}Question: {row['question'].strip()}")
        return question, Message("assistant", re.sub(r"<<[^>]*>>", "", row["answer"]).strip())
