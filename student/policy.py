"""What objectives on the student's own samples share: the reward of a sampled token, and the policy-gradient loss."""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from spiritsafe.errors import UserError
from spiritsafe.objective import Targets


def log_probability(logits: Tensor, tokens: Tensor) -> Tensor:
    """The student's log probability of each token, [n]."""
    return -cross_entropy(logits, tokens, reduction="none")


def behaviour(log_q: Tensor, targets: Targets) -> Tensor:
    """Log probabilities of the tokens when they were sampled, [n]; the present ones where none were kept."""
    return log_q.detach() if targets.behaviour is None else targets.behaviour


def rewards(sampled: Tensor, targets: Targets) -> tuple[Tensor, Tensor]:
    """log p - log q of each sampled token, [n], and whether the teacher's number is known; 0 where it is not."""
    if targets.chosen is None:
        raise UserError(
            "this objective learns from the teacher's scores of the student's own completions: train on policy with "
            "interface.scoring=true, or use objective=sft"
        )
    known = targets.chosen.isfinite()
    return (targets.chosen - sampled).masked_fill(~known, 0.0), known


def policy_loss(log_q: Tensor, sampled: Tensor, advantages: Tensor) -> Tensor:
    """- q / q_sampled * A of each token, [n]: its gradient is the policy gradient, importance weighted."""
    return -(log_q - sampled).exp() * advantages


def with_chosen(targets: Targets) -> Targets:
    """The sampled token among the disclosed ones, where the teacher's number for it is known: the student visits tokens
    that are not in the teacher's top k. Tokens with nothing disclosed have no weight."""
    if targets.chosen is None or targets.top_ids is None or targets.top_logprobs is None:
        return targets
    tokens = targets.tokens[:, None]
    listed = ((targets.top_ids == tokens) & targets.top_logprobs.isfinite()).any(1)
    log_p = torch.cat([targets.top_logprobs, targets.chosen.masked_fill(listed, -torch.inf)[:, None]], 1)
    weights = targets.weights * log_p.isfinite().any(1)
    return replace(targets, weights=weights, top_ids=torch.cat([targets.top_ids, tokens], 1), top_logprobs=log_p)
