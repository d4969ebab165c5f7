"""One token a row from its logits and one uniform number: greedy, or the inverse of the cumulative distribution."""

import torch
from torch import Tensor


def draw(logits: Tensor, temperature: Tensor, top_p: Tensor, uniform: Tensor) -> Tensor:
    """``logits`` [rows, vocabulary], the others [rows]; token ids [rows]. ``temperature`` 0 is greedy.

    The cumulative sum is in float64, so that what sampling adds to the error of fp32 logits is nothing.
    """
    greedy = temperature == 0
    best = logits.argmax(-1)
    if bool(greedy.all()):
        return best
    heat = torch.where(greedy, 1.0, temperature)
    probabilities = ((logits - logits.amax(-1, keepdim=True)) / heat[:, None]).softmax(-1)
    if bool((top_p < 1).any()):
        probabilities = nucleus(probabilities, top_p)
    cumulative = probabilities.double().cumsum(-1)
    target = uniform[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, target, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    return torch.where(greedy, best, drawn)


def nucleus(probabilities: Tensor, top_p: Tensor) -> Tensor:
    """The smallest set of most likely tokens that holds ``top_p``; the rest is 0, and nothing is renormalised.

    Holtzman et al., ICLR 2020, arXiv 1904.09751.
    """
    ranked, order = probabilities.sort(dim=-1, descending=True, stable=True)
    above = ranked.cumsum(-1) - ranked
    kept = ranked.masked_fill((above >= top_p[:, None]) & (above > 0), 0)
    return torch.zeros_like(probabilities).scatter(-1, order, kept)
