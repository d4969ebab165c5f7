"""What an interface disclosed of the teacher's next token, beside the student's, over the same buckets: one for each
disclosed token and a last one for all the others. An f-divergence between buckets is a lower bound of the full one, and
equal to it at k = V."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spiritsafe.errors import UserError
from spiritsafe.objective import Targets

ABSENT = -1e30  # log probability of a token that is not there: finite, so that 0 times it is 0


def disclosed(targets: Targets, vocabulary: int) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, log probabilities and which of them are there, all [n, k]. Ids past the student's output head, where a
    teacher's head is padded further, count as not disclosed."""
    if targets.top_ids is None or targets.top_logprobs is None:
        raise UserError("this objective needs top logprobs: set interface.top_logprobs, or use objective=sft")
    there = targets.top_logprobs.isfinite() & (targets.top_ids < vocabulary)
    return targets.top_ids.masked_fill(~there, 0), targets.top_logprobs.masked_fill(~there, ABSENT), there


def rest(log_p: Tensor, there: Tensor, vocabulary: int) -> Tensor:
    """1 - P, the mass that was not disclosed, [n]."""
    mass = (-torch.expm1(log_p.logsumexp(1))).clamp(min=0)
    return mass.masked_fill(there.sum(1) == vocabulary, 0.0)


def outside(logits: Tensor, ids: Tensor, there: Tensor) -> Tensor:
    """log(1 - Q), [n], summed over the tokens outside, not taken as 1 minus those inside, so that its gradient stays
    within [-1, 1] when nothing is left there."""
    inside = torch.zeros_like(logits).scatter_add_(1, ids, there.to(logits.dtype)) > 0
    return logits.masked_fill(inside, ABSENT).logsumexp(1) - logits.logsumexp(1)


def buckets(logits: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """log p and log q over k + 1 buckets, both [n, k + 1] and normalised; ``ABSENT`` where there is no mass.

    Disclosed masses above 1, as rounding and noise make them, are scaled to 1.
    """
    ids, log_p, there = disclosed(targets, logits.shape[1])
    tail = rest(log_p, there, logits.shape[1]).log().clamp(min=ABSENT)
    log_q = logits.log_softmax(1).gather(1, ids).masked_fill(~there, ABSENT)
    both = torch.cat([log_q, outside(logits, ids, there)[:, None]], 1)
    return torch.cat([log_p, tail[:, None]], 1).log_softmax(1), both.clamp(min=ABSENT)


def with_text(loss: Tensor, logits: Tensor, targets: Targets, alpha: float) -> Tensor:
    """(1 - alpha) ``loss`` [n] + alpha CE, weighted and summed. A token with nothing disclosed has CE alone: what a
    defense withholds turns its attacker into one that learns from text."""
    withheld = ~disclosed(targets, logits.shape[1])[2].any(1)
    if alpha or bool(withheld.any()):
        share = torch.where(withheld, 1.0, alpha)
        loss = (1 - share) * loss + share * cross_entropy(logits, targets.tokens, reduction="none")
    return loss @ targets.weights


def check_alpha(alpha: float) -> None:
    if not 0 <= alpha <= 1:
        raise UserError(f"objective.alpha is a share of the loss, {alpha} is not in [0, 1]")
