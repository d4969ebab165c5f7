"""The log probabilities that are shown: gathered a step at a time, cut out when a row ends."""

from __future__ import annotations

import torch
from torch import Tensor

from spiritsafe.exchange import Logprobs
from teacher.decoder import moves


class Disclosure:
    """Log probabilities at every completion position: the top ``k`` [slots, positions, k] and the chosen one's."""

    def __init__(self, slots: int, positions: int, k: int, device: torch.device) -> None:
        self.k = k
        self.ids = torch.zeros(slots, positions, k, dtype=torch.int32, device=device)
        self.values = torch.zeros(slots, positions, k, device=device)
        self.chosen = torch.zeros(slots, positions, device=device)

    def record(self, logprobs: Tensor, tokens: Tensor, positions: Tensor) -> None:
        """``logprobs`` [rows, vocabulary] as disclosed, the ``tokens`` served at ``positions``, both [rows]."""
        rows = torch.arange(len(tokens), device=tokens.device)
        values, ids = logprobs.topk(self.k, -1)
        self.values[rows, positions], self.ids[rows, positions] = values, ids.int()
        self.chosen[rows, positions] = logprobs.gather(1, tokens[:, None])[:, 0]

    def keep(self, index: Tensor) -> None:
        source, target = moves(index)
        for block in (self.ids, self.values, self.chosen):
            block[target] = block[source]

    def cut(self, row: int, count: int, k: int) -> Logprobs:
        """The first ``count`` positions of a row; what a defense withheld (-inf) is left out of the top k."""
        ids, values = self.ids[row, :count, :k].tolist(), self.values[row, :count, :k].tolist()
        shown = [
            [(i, v) for i, v in zip(*pair, strict=True) if v > -torch.inf] for pair in zip(ids, values, strict=True)
        ]
        return Logprobs(
            tuple(tuple(i for i, _ in position) for position in shown),
            tuple(tuple(v for _, v in position) for position in shown),
            tuple(self.chosen[row, :count].tolist()),
        )
