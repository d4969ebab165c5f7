"""Forward KL on the k disclosed tokens, and what to make of the mass that was not disclosed.

With p the teacher, q the student, S the disclosed tokens, P and Q their mass (huggingface/trl `server_distillation`,
arcee-ai/DistillKit `missing_probability_handling`):

    tail     KL over k + 1 buckets, the last being 1 - P against 1 - Q. A lower bound of the full KL
    renorm   KL(p/P || q/Q) over S. Ignores the absolute mass; at k = 1 it is zero, whatever the student does
    zero     sum over S of p/P (log p/P - log q). Pushes all of the student's mass into S

At k = V all three are the full KL. ``alpha`` mixes in cross-entropy on the sampled token.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.buckets import ABSENT, check_alpha, disclosed, outside, rest, with_text

Missing = Literal["tail", "renorm", "zero"]


@dataclass(frozen=True)
class TopKKL:
    """(1 - alpha) KL + alpha CE at temperature 1, weighted and summed. A token with nothing disclosed has CE alone:
    what a defense withholds turns this attacker into one that learns from text."""

    missing: Missing = "tail"
    alpha: float = 0.0
    needs: ClassVar[Signal] = Signal.TEXT | Signal.TOP_LOGPROBS

    def __post_init__(self) -> None:
        if self.missing not in get_args(Missing):
            raise UserError(f"objective.missing is {self.missing!r}: use one of {', '.join(get_args(Missing))}")
        check_alpha(self.alpha)

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """``logits`` [n, vocabulary], ``targets.top_ids`` and ``top_logprobs`` [n, k]."""
        ids, log_p, there = disclosed(targets, logits.shape[1])
        return with_text(_kl(logits, ids, log_p, there, self.missing), logits, targets, self.alpha)


def _kl(logits: Tensor, ids: Tensor, log_p: Tensor, there: Tensor, missing: Missing) -> Tensor:
    """KL of each token, [n]."""
    if missing != "tail":
        log_p = log_p.log_softmax(1)
    if missing == "renorm":
        log_q = logits.gather(1, ids).masked_fill(~there, ABSENT).log_softmax(1)
    else:
        log_q = logits.log_softmax(1).gather(1, ids)
    kl = (log_p.exp() * there * (log_p - log_q)).sum(1)
    if missing == "tail":
        mass = rest(log_p, there, logits.shape[1])
        kl = kl + torch.xlogy(mass, mass) - mass * outside(logits, ids, there)
    return kl
