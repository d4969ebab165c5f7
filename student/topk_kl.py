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
from torch.nn.functional import cross_entropy

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets

Missing = Literal["tail", "renorm", "zero"]
ABSENT = -1e30  # log probability of a token that is not there: finite, so that 0 times it is 0


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
        if not 0 <= self.alpha <= 1:
            raise UserError(f"objective.alpha is a share of the loss, {self.alpha} is not in [0, 1]")

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        """``logits`` [n, vocabulary], ``targets.top_ids`` and ``top_logprobs`` [n, k]."""
        if targets.top_ids is None or targets.top_logprobs is None:
            raise UserError("topk_kl needs top logprobs: set interface.top_logprobs, or use objective=sft")
        loss = _kl(logits, targets.top_ids, targets.top_logprobs, self.missing)
        withheld = ~targets.top_logprobs.isfinite().any(1)
        if self.alpha or bool(withheld.any()):
            share = torch.where(withheld, 1.0, self.alpha)
            loss = (1 - share) * loss + share * cross_entropy(logits, targets.tokens, reduction="none")
        return loss @ targets.weights


def _kl(logits: Tensor, ids: Tensor, log_p: Tensor, missing: Missing) -> Tensor:
    """KL of each token, [n]."""
    disclosed = log_p.isfinite()
    log_p = log_p.masked_fill(~disclosed, ABSENT)
    if missing != "tail":
        log_p = log_p.log_softmax(1)
    if missing == "renorm":
        log_q = logits.gather(1, ids).masked_fill(~disclosed, ABSENT).log_softmax(1)
    else:
        log_q = logits.log_softmax(1).gather(1, ids)
    kl = (log_p.exp() * disclosed * (log_p - log_q)).sum(1)
    return kl + _tail(logits, ids, log_p, disclosed) if missing == "tail" else kl


def _tail(logits: Tensor, ids: Tensor, log_p: Tensor, disclosed: Tensor) -> Tensor:
    """(1 - P) (log(1 - P) - log(1 - Q)), [n].

    log(1 - Q) is summed over the tokens outside S, not taken as 1 minus those inside, so that its gradient stays
    within [-1, 1] when nothing is left there.
    """
    mass = (-torch.expm1(log_p.logsumexp(1))).clamp(min=0)
    mass = mass.masked_fill(disclosed.sum(1) == logits.shape[1], 0.0)
    inside = torch.zeros_like(logits).scatter_add_(1, ids, disclosed.to(logits.dtype)) > 0
    outside = logits.masked_fill(inside, ABSENT).logsumexp(1) - logits.logsumexp(1)
    return torch.xlogy(mass, mass) - mass * outside
