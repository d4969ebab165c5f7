"""Weaker teacher: a share of all requests is answered by a weaker model, start to end.

The control for every defense that costs accuracy (a teacher that is merely worse at the same price teaches worse too),
and the answer side of adaptive misinformation, Kariyappa and Qureshi, CVPR 2020, arXiv 1911.07100, without its gate.
No published default. Breakers: majority vote, best of k with a verifier, or a filter that knows the weaker model's
style. Deviates: which rows are routed is a hash of their random streams, so a row that is routed at one share stays so
at every larger one; the weaker model reads all rows, though a product would spare itself those it does not answer.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from defenses.product_of_experts import ProductOfExperts
from spiritsafe.defense import Rows
from spiritsafe.randomness import mix, stream_key, uniforms

ROUTE = stream_key(0, "weaker_teacher", 0)  # keeps the hash apart from the draws of the same streams


@dataclass(kw_only=True)
class WeakerTeacher(ProductOfExperts):
    """``strength`` is the share of rows that ``proxy`` answers, greedy ones included."""

    interval: ClassVar[tuple[float, float]] = (1e-2, 1.0)

    def routed(self, rows: Rows) -> Tensor:
        """Whether the weaker model answers: [rows]."""
        return uniforms(mix(rows.streams ^ ROUTE), torch.zeros_like(rows.streams)) < self.set_strength

    def mixed(self, logits: Tensor, weaker: Tensor, rows: Rows) -> Tensor:
        return torch.where(self.routed(rows)[:, None], weaker, logits)
