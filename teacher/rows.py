"""The rows being decoded together: what the sampling hooks of a defense see, and how rows come and go."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from teacher.decoder import Decoder, moves
from teacher.disclosure import Disclosure
from teacher.job import Job


class LiveRows:
    """Implements `spiritsafe.defense.Rows`; entry i of every tensor belongs to ``jobs[i]``.

    There are at most ``slots`` rows of ``columns`` tokens, each with at most ``biases`` biased ones.
    """

    def __init__(
        self,
        slots: int,
        columns: int,
        device: torch.device,
        disclosure: Disclosure | None = None,
        biases: int = 0,
    ) -> None:
        self.slots, self.columns, self.device, self.disclosure = slots, columns, device, disclosure
        self.jobs: list[Job] = []
        self.tokens = torch.zeros(slots, columns, dtype=torch.long, device=device)
        self.bias_ids = torch.zeros(slots, biases, dtype=torch.long, device=device)
        self.bias_values = torch.zeros(slots, biases, device=device)  # 0 where a row has fewer
        counts = torch.zeros(5, 0, dtype=torch.long, device=device)
        self.lengths, self.known, self.generated, self.ends, self.streams = counts
        self.temperature, self.top_p, self.risk = torch.zeros(3, 0, device=device)
        self.decoders: dict[tuple[int, int], Decoder] = {}
        self.logits: dict[tuple[int, int], Tensor] = {}  # of the step under way

    def context(self, width: int) -> Tensor:
        columns = self.lengths[:, None] + torch.arange(-width, 0, device=self.device)
        return self.tokens[: len(self.jobs)].gather(1, columns.clamp(min=0)).masked_fill(columns < 0, -1)

    def follow(self, model: nn.Module, copies: int = 1) -> Tensor:
        key = id(model), copies
        if key not in self.decoders:
            self.decoders[key] = Decoder(model, copies, self.slots, self.columns)
            lengths = self.lengths.tolist()
            self.decoders[key].admit([row[: n - 1] for row, n in zip(self.tokens.tolist(), lengths, strict=False)])
        if key not in self.logits:
            self.logits[key] = self.decoders[key].step(self._at(self.lengths - 1)).float()
        return self.logits[key]

    def admit(self, jobs: Sequence[Job]) -> None:
        """Append rows. Between two steps only."""
        for decoder in self.decoders.values():
            decoder.admit([job.tokens[: job.read - 1] for job in jobs])
        longest = max(len(job.tokens) for job in jobs)
        padded = torch.tensor([job.tokens + [0] * (longest - len(job.tokens)) for job in jobs], device=self.device)
        places = slice(len(self.jobs), len(self.jobs) + len(jobs))
        self.tokens[places, :longest] = padded
        if most := self.bias_ids.shape[1]:
            biases = [[*job.request.logit_bias, *[(0, 0.0)] * (most - len(job.request.logit_bias))] for job in jobs]
            self.bias_ids[places] = torch.tensor([[token for token, _ in row] for row in biases], device=self.device)
            self.bias_values[places] = torch.tensor([[bias for _, bias in row] for row in biases], device=self.device)
        counts = [(job.read, len(job.tokens), job.read - job.prompt, job.end, job.stream) for job in jobs]
        self.lengths, self.known, self.generated, self.ends, self.streams = torch.cat(
            [self._counts(), torch.tensor(counts, device=self.device).T], 1
        )
        shares = [(job.request.sampling.temperature, job.request.sampling.top_p, job.risk) for job in jobs]
        self.temperature, self.top_p, self.risk = torch.cat(
            [self._shares(), torch.tensor(shares, dtype=torch.float32, device=self.device).T], 1
        )
        self.jobs += jobs

    def biased(self, logits: Tensor) -> Tensor:
        """The logits with what the callers of these rows add to them."""
        if not self.bias_ids.shape[1]:
            return logits
        rows = len(self.jobs)
        return logits.scatter_add(1, self.bias_ids[:rows], self.bias_values[:rows].to(logits.dtype))

    def given(self, drawn: Tensor) -> Tensor:
        """The next token of every row: the one that was given with its request, else the one drawn."""
        return torch.where(self.lengths < self.known, self._at(self.lengths), drawn)

    def append(self, tokens: Tensor, logprobs: Tensor | None) -> None:
        """End the step. A model that was not followed in it reads its rows afresh when it is next."""
        if self.disclosure and logprobs is not None:
            self.disclosure.record(logprobs, tokens, self.generated)
        self.tokens[: len(self.jobs)].scatter_(1, self.lengths[:, None], tokens[:, None])
        self.lengths, self.generated = self.lengths + 1, self.generated + 1
        self.decoders = {key: decoder for key, decoder in self.decoders.items() if key in self.logits}
        self.logits.clear()

    def keep(self, index: Tensor) -> None:
        """Row i becomes what row ``index[i]`` was; rows that are not named leave. ``index`` is on the CPU."""
        for decoder in self.decoders.values():
            decoder.keep(index)
        if self.disclosure:
            self.disclosure.keep(index)
        self.jobs = [self.jobs[row] for row in index.tolist()]
        index = index.to(self.device)
        source, target = moves(index)
        for block in (self.tokens, self.bias_ids, self.bias_values):
            block[target] = block[source]
        self.lengths, self.known, self.generated, self.ends, self.streams = self._counts()[:, index]
        self.temperature, self.top_p, self.risk = self._shares()[:, index]

    def _at(self, columns: Tensor) -> Tensor:
        return self.tokens[: len(self.jobs)].gather(1, columns[:, None])[:, 0]

    def _counts(self) -> Tensor:
        return torch.stack([self.lengths, self.known, self.generated, self.ends, self.streams])

    def _shares(self) -> Tensor:
        return torch.stack([self.temperature, self.top_p, self.risk])


def without(rows: int, finished: Sequence[int]) -> Tensor:
    """The index that drops ``finished`` rows and moves the last ones into their places: [rows - finished]."""
    left = rows - len(finished)
    gone = set(finished)
    index = torch.arange(left)
    tail = [row for row in range(left, rows) if row not in gone]
    index[[row for row in finished if row < left]] = torch.tensor(tail, dtype=torch.long)
    return index
