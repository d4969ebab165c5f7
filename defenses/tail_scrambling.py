"""Tail scrambling: the likeliest tokens keep their probabilities, the rest exchange theirs at random. Teacher
Scrambling, Dionicio et al., Lock-LLM workshop, NeurIPS 2025.

    y'_i = y_i for i in the top k,    y'_i = y_π(i) for the others, π a random permutation of them

Defaults: k is ours, no published value is known to us. Breakers: training on the top k alone, or on the text; averaging
over positions, since a fresh permutation leaves the head and the tail's mean as they are. Deviates: π is keyed by
the row's random stream and position, so that batches do not matter, and tokens level with the k-th stay in the head, so
that the argmax is kept to the bit. The mass is kept exactly; what is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from defenses.primitives.noise import noise_bits
from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass
class TailScrambling(Defense):
    """``k`` tokens keep their places; the whole vocabulary changes nothing."""

    k: int = 5
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if self.k < 1:
            raise UserError(f"tail_scrambling needs k >= 1, or the top token would change, got k={self.k}")

    def check(self, teacher: LanguageModel) -> None:
        if self.k > teacher.vocabulary:
            raise UserError(
                f"tail_scrambling keeps k={self.k} tokens and the teacher {teacher.name!r} has {teacher.vocabulary}: "
                f"set k to at most {teacher.vocabulary}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        size = logprobs.shape[-1]
        if self.k >= size:
            return logprobs
        head = logprobs >= logprobs.topk(self.k, dim=-1).values[:, -1:]
        drawn = noise_bits(rows, size)
        last = torch.iinfo(torch.int64).max  # more than half of any bits: the head comes last, in its own order
        shuffled = (drawn >> 1).masked_fill(head, last).argsort(dim=-1, stable=True)
        places = head.byte().argsort(dim=-1, stable=True)
        return logprobs.scatter(-1, places, logprobs.gather(-1, shuffled))
