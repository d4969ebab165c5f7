"""Disclosed log probabilities as distributions over the tokens that were shown and all others together, and what known
defenses do to such distributions.

Such a model of a defense maps [n, k + 1] to [n, k + 1], the last column being the mass that was not shown. Defenses act
on every token of the vocabulary: ``vocabulary`` says how many share that mass, evenly, for want of better knowledge.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import torch
from torch import Tensor

from spiritsafe.attack import Example

Forward = Callable[[Tensor], Tensor]
LEAST = 1e-10  # a token that was shown has some mass


def fold(examples: Sequence[Example], most: int) -> Tensor:
    """What was shown at every token that has log probabilities, [n, k + 1]: the best ``most`` of them (0 where fewer
    were shown), then all that is left of 1. Empty where nothing was disclosed."""
    shown = [sorted(values, reverse=True)[:most] for values in _disclosed(examples)]
    if not shown:
        return torch.empty(0, 1)
    width = max(map(len, shown))
    head = torch.tensor([[*values, *[-torch.inf] * (width - len(values))] for values in shown]).exp()
    return torch.cat([head, (1 - head.sum(1, keepdim=True)).clamp(min=0)], 1)


def unfold(examples: Sequence[Example], recovered: Tensor) -> list[Example]:
    """The examples with ``recovered`` [n, k + 1] in place of what `fold` gave. A token beyond the best k keeps its
    share of the mass that was not among them."""
    rows, width = iter(recovered.clamp(min=LEAST).log().tolist()), recovered.shape[1] - 1
    tails = iter(recovered[:, -1].clamp(min=LEAST).log().tolist())
    refined = []
    for example in examples:
        places: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
        for ids, values in zip(example.top_ids, example.top_logprobs, strict=True):
            if not values:
                places.append(((), ()))
                continue
            order = sorted(range(len(values)), key=lambda place: -values[place])
            best, rest = order[:width], order[width:]
            new, tail = next(rows), next(tails)
            before = torch.tensor([values[place] for place in best]).exp().sum()
            moved = tail - float((1 - before).clamp(min=LEAST).log())
            pairs = [(new[rank], ids[place]) for rank, place in enumerate(best)]
            pairs += [(values[place] + moved, ids[place]) for place in rest]
            pairs.sort(key=lambda pair: -pair[0])
            places.append((tuple(token for _, token in pairs), tuple(value for value, _ in pairs)))
        top_ids, top_logprobs = tuple(ids for ids, _ in places), tuple(values for _, values in places)
        refined.append(replace(example, top_ids=top_ids, top_logprobs=top_logprobs))
    return refined


def reverse_sigmoid(y: Tensor, beta: float, gamma: float = 0.2, vocabulary: int | None = None) -> Tensor:
    """y − β (σ(γ logit y) − ½), normalised (arXiv 1806.00054)."""
    return _each(y, vocabulary, lambda each: each - beta * ((gamma * each.logit()).sigmoid() - 0.5))


def rounding(y: Tensor, decimals: int = 1, vocabulary: int | None = None) -> Tensor:
    """Every probability to so many decimals, normalised; the top token alone where nothing is left."""
    return _each(y, vocabulary, lambda each: each.round(decimals=decimals))


def _each(y: Tensor, vocabulary: int | None, change: Forward) -> Tensor:
    others = 1 if vocabulary is None else max(0, vocabulary - y.shape[-1] + 1)
    head, tail = y[..., :-1], y[..., -1:]
    changed = torch.cat([change(head), others * change(tail / max(1, others))], -1).clamp(min=0)
    nothing = changed.sum(-1, keepdim=True) == 0
    top = torch.zeros_like(changed).scatter(-1, head.argmax(-1, keepdim=True), 1.0)
    changed = torch.where(nothing, top, changed)
    return changed / changed.sum(-1, keepdim=True)


def _disclosed(examples: Sequence[Example]) -> list[tuple[float, ...]]:
    return [values for values in chain.from_iterable(example.top_logprobs for example in examples) if values]
