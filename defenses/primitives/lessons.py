"""Teacher traces as batches of token ids, for defenses that learn from them or take a gradient on them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from spiritsafe.attack import Example
from spiritsafe.exchange import END_THINK, THINK
from spiritsafe.models import LanguageModel


@dataclass(frozen=True)
class Lesson:
    """``ids`` [rows, width], padded on the right with -1; ``learned`` marks the tokens of the completions."""

    ids: Tensor
    learned: Tensor

    @property
    def inputs(self) -> dict[str, Any]:
        mask = (self.ids >= 0).long()
        return {"input_ids": self.ids.clamp(min=0), "attention_mask": mask, "use_cache": False}

    @property
    def targets(self) -> Tensor:
        """The completion tokens of all rows on end: [tokens]."""
        return self.at_targets(self.ids[:, 1:])

    def at_targets(self, values: Tensor) -> Tensor:
        """What stands where a completion token is predicted, [rows, width - 1 or more, ...] -> [tokens, ...]."""
        learned = self.learned[:, 1:]
        return values[:, : learned.shape[1]][learned]


class Lessons:
    """All traces, tokenised once for one model. The ids that were sampled count, where they are known."""

    def __init__(self, language_model: LanguageModel, traces: Sequence[Example]) -> None:
        self.language_model = language_model
        self.prefills = [trace.prefill for trace in traces]
        self.prompts = [language_model.prompt_ids(trace.messages, trace.prefill) for trace in traces]
        self.completions = [
            list(trace.token_ids) or language_model.completion_ids(trace.completion) for trace in traces
        ]

    def __len__(self) -> int:
        return len(self.prompts)

    def lesson(self, rows: Sequence[int]) -> Lesson:
        width = max(len(self.prompts[row]) + len(self.completions[row]) for row in rows)
        ids = torch.full((len(rows), width), -1)
        learned = torch.zeros(len(rows), width, dtype=torch.bool)
        for place, row in enumerate(rows):
            start, both = len(self.prompts[row]), self.prompts[row] + self.completions[row]
            ids[place, : len(both)] = torch.tensor(both)
            learned[place, start : len(both)] = True
        return Lesson(ids.to(self.language_model.device), learned.to(self.language_model.device))

    def batches(self, size: int) -> Iterator[Lesson]:
        """All of them, in order."""
        for start in range(0, len(self), size):
            yield self.lesson(range(start, min(start + size, len(self))))

    @cached_property
    def reasoning(self) -> list[Tensor]:
        """Which completion tokens of each trace stand between its think marks: [tokens] bool a trace."""
        masks = []
        for prefill, ids in zip(self.prefills, self.completions, strict=True):
            mask = torch.zeros(len(ids), dtype=torch.bool)
            mask[slice(*reasoning_span(self.language_model, ids, prefill))] = True
            masks.append(mask)
        return masks


def reasoning_span(language_model: LanguageModel, ids: Sequence[int], prefill: str = "") -> tuple[int, int]:
    """The first reasoning token of a completion and the one after the last. A token that also spells a part of a mark
    belongs to the mark; reasoning that is never closed ends with the text."""
    text = language_model.decode(ids)
    opened = THINK in prefill.rpartition(END_THINK)[2]
    if not opened and not text.startswith(THINK):
        return 0, 0

    def written(count: int) -> int:
        return len(language_model.decode(ids[:count]))

    counts = range(len(ids) + 1)
    start = 0 if opened else bisect_left(counts, len(THINK), key=written)
    if END_THINK not in text:
        return start, bisect_left(counts, len(text), key=written)
    return start, max(start, bisect_right(counts, text.index(END_THINK), key=written) - 1)
