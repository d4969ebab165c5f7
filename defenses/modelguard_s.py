"""ModelGuard-S: show one distribution for all that lie close together, so that nothing between them can be inverted.
Tang et al., USENIX Security 2024; for an attacker who knows the defense.

    y' = the first centroid c of the top-1 token of y with ‖y − c‖₁ <= ε; where there is none, y becomes one

Default: ε = 1. Breakers: training on the top token alone, which is kept. The memory is shared by all accounts, so what
one asks decides what another is shown. Deviates: (1) A window of requests is answered from the table as it stood at
its beginning; what found no cell is shown as it is, and at the window's end all of that is entered, first come first
served in the order of (stream, position). Cells born in one window merge there, batches do not matter, and a campaign
resumes from the table and what is pending. (2) The teacher's own traces seed the table. (3) No Dirichlet search for
centroids that are far away. (4) A table that is full ends the run. Needs 4 bytes · vocabulary for each centroid, and
for each distribution of a window that has found no cell.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, ClassVar

import torch
from torch import Tensor

from spiritsafe.account import Account
from spiritsafe.attack import Example
from spiritsafe.defense import Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange
from spiritsafe.models import LanguageModel

COMPARED = 2**25  # numbers held at once by a lookup


@dataclass
class Cells:
    """``centroids`` are log probabilities [cells, vocabulary], in the order in which they were entered."""

    centroids: Tensor

    def __post_init__(self) -> None:
        tops = self.centroids.argmax(-1)
        self.order = tops.argsort(stable=True)
        self.counts = torch.bincount(tops, minlength=self.centroids.shape[-1])
        self.starts = self.counts.cumsum(0) - self.counts

    def first_within(self, logprobs: Tensor, radius: float) -> Tensor:
        """The first cell that shares a row's top-1 token and is within an L1 distance of ``radius``, or -1: [rows]."""
        tops, cells = logprobs.argmax(-1), len(self.centroids)
        found = torch.full_like(tops, cells)
        pairs = self.counts[tops]  # cells to compare each row with
        row = torch.arange(len(tops), device=tops.device).repeat_interleave(pairs)
        place = torch.arange(len(row), device=tops.device) - (pairs.cumsum(0) - pairs)[row]
        cell = self.order[self.starts[tops][row] + place]
        step = max(1, COMPARED // logprobs.shape[-1])
        for some, others in zip(row.split(step), cell.split(step), strict=True):
            apart = (logprobs[some].exp() - self.centroids[others].exp()).abs().sum(-1)
            found.scatter_reduce_(0, some, others.masked_fill(apart > radius, cells), "amin")
        return found.masked_fill(found == cells, -1)


@dataclass
class ModelguardS(Defense):
    """``epsilon`` is the L1 radius of a cell, ``capacity`` the most centroids there may be. So many ``traces`` of the
    teacher seed the table, ``batch`` read at a time (0 traces: it begins empty)."""

    epsilon: float = 1.0
    capacity: int = 16384
    traces: int = 512
    batch: int = 32
    cells: Cells = field(init=False, repr=False)
    pending: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not 0 <= self.epsilon <= 2:
            raise UserError(f"modelguard_s needs 0 <= epsilon <= 2 (an L1 distance), got epsilon={self.epsilon}")
        if self.capacity < 1 or self.traces < 0 or self.batch < 1:
            raise UserError(
                "modelguard_s needs capacity >= 1, traces >= 0 and batch >= 1, got "
                f"capacity={self.capacity}, traces={self.traces}, batch={self.batch}"
            )

    def prepare(self, preparation: Preparation) -> None:
        teacher = preparation.teacher
        self.cells = Cells(torch.zeros(0, teacher.vocabulary, device=teacher.device))
        if self.epsilon > 0 and self.traces > 0:
            for logprobs in trace_logprobs(teacher, preparation.traces(self.traces), self.batch):
                self.enter(logprobs)

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.epsilon == 0:
            return logprobs
        cells = self.cells.first_within(logprobs, self.epsilon)
        homeless = cells < 0
        self.pending.append((logprobs[homeless], rows.streams[homeless], rows.generated[homeless]))
        return logprobs.index_put((~homeless,), self.cells.centroids[cells[~homeless]])

    def observe(self, exchanges: Sequence[Exchange], accounts: dict[str, Account]) -> None:
        logprobs, streams, positions = self._pending()
        self.pending = []
        order = torch.arange(len(logprobs), device=logprobs.device)
        for key in (logprobs.amax(-1), positions, streams):  # the last is what counts most
            order = order[key[order].argsort(stable=True)]
        self.enter(logprobs[order])

    def enter(self, logprobs: Tensor) -> None:
        """Greedily, in their order: those that lie within ε of a centroid are dropped, any other becomes one."""
        left = logprobs[self.cells.first_within(logprobs, self.epsilon) < 0]
        while len(left):
            # The first that is left of each top-1 token would be entered next; those of other tokens never meet it.
            tops = left.argmax(-1)
            places = torch.arange(len(left), device=left.device)
            first = torch.full((left.shape[-1],), len(left), device=left.device)
            first = first.scatter_reduce(0, tops, places, "amin")[tops] == places
            if len(self.cells.centroids) + int(first.sum()) > self.capacity:
                raise UserError(
                    f"modelguard_s has found more than {self.capacity} cells of radius {self.epsilon:g}: raise its "
                    "capacity (more memory), or its epsilon (coarser cells)"
                )
            fresh = left[first]
            self.cells = Cells(torch.cat([self.cells.centroids, fresh]))
            left = left[Cells(fresh).first_within(left, self.epsilon) < 0]

    def state(self) -> dict[str, Tensor]:
        logprobs, streams, positions = self._pending()
        return {"centroids": self.cells.centroids, "pending": logprobs, "streams": streams, "positions": positions}

    def restore(self, state: dict[str, Tensor]) -> None:
        there = {name: tensor.to(self.cells.centroids.device) for name, tensor in state.items()}
        self.cells = Cells(there["centroids"])
        self.pending = [(there["pending"], there["streams"], there["positions"])]

    def summary(self) -> dict[str, Any]:
        return {"cells": len(self.cells.centroids)}

    def _pending(self) -> tuple[Tensor, Tensor, Tensor]:
        none = torch.zeros(0, dtype=torch.long, device=self.cells.centroids.device)
        logprobs, streams, positions = zip((self.cells.centroids[:0], none, none), *self.pending, strict=True)
        return torch.cat(logprobs), torch.cat(streams), torch.cat(positions)


def trace_logprobs(teacher: LanguageModel, traces: Sequence[Example], batch: int) -> Iterator[Tensor]:
    """The teacher's next-token distributions along its completions: [tokens, vocabulary], a batch at a time."""
    for start in range(0, len(traces), batch):
        pairs = [
            (
                teacher.prompt_ids(trace.messages, trace.prefill),
                list(trace.token_ids) or teacher.completion_ids(trace.completion),
            )
            for trace in traces[start : start + batch]
        ]
        columns = list(zip_longest(*(prompt + completion for prompt, completion in pairs), fillvalue=-1))
        ids = torch.tensor(columns, device=teacher.device).T
        prompts = torch.tensor([len(prompt) for prompt, _ in pairs], device=teacher.device)
        written = (torch.arange(ids.shape[1], device=teacher.device) >= prompts[:, None]) & (ids >= 0)
        with torch.inference_mode():
            logits = teacher.model(ids.clamp(min=0), attention_mask=(ids >= 0).long(), use_cache=False).logits
            logprobs = logits[:, :-1][written[:, 1:]].float().log_softmax(-1)
        yield logprobs
