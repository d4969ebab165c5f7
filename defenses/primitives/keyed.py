"""Marks that only the holder of a key can tell from chance: what watermarks, fingerprints and their tests stand on.

A pseudo-random function of (key, window of preceding token ids, token id) gives each token 64 bits, evaluated where
they are asked for: for a whole vocabulary when text is marked, for one token a position when it is tested. A token is
green with probability ``share``, independently of every other, in place of a permutation that makes exactly that
share green: over unique (window, token) pairs the number of green ones is then exactly binomial for text that knows
nothing of the key (Sander et al., NeurIPS 2024, arXiv 2402.14904).
"""

import sys
from collections.abc import Callable, Sequence
from itertools import chain

import torch
from torch import Tensor

from spiritsafe.attack import Example
from spiritsafe.defense import Verdict
from spiritsafe.errors import UserError
from spiritsafe.randomness import INCREMENT, mix, stream_key

CHUNK = 2**22  # evaluations at a time: 32 MiB
TINY = sys.float_info.min  # the least p-value that is told, so that every one has a logarithm

Key = str | int | None


def secrets(owner: str, key: Key, wrong: int = 0) -> Tensor:
    """[1 + wrong] int64: what ``owner`` marks with, then what is derived from the same key and marks nothing."""
    if key is None:
        raise UserError(f"{owner} needs a secret: set key=<any text or number>")
    return torch.tensor([stream_key(index, f"{owner}\0{key}", 0) for index in range(1 + wrong)])


def bits(secrets: Tensor, windows: Tensor, tokens: Tensor) -> Tensor:
    """The 64 bits of each token, int64; ``secrets``, ``tokens`` and ``windows`` [..., width] broadcast."""
    state = mix(secrets.to(windows.device))
    for column in windows.unbind(-1):
        state = mix(state + INCREMENT * (column + 1))
    return mix(state + INCREMENT * (tokens + 1))


def marked(bits: Tensor, share: float) -> Tensor:
    """True for a ``share`` in (0, 1) of all tokens."""
    return bits < round(share * 2**64) - 2**63


def vocabulary_bits(secret: Tensor, windows: Tensor, vocabulary: int) -> Tensor:
    """[rows, vocabulary] for ``windows`` [rows, width]."""
    return bits(secret, windows[:, None], torch.arange(vocabulary, device=windows.device))


def green(secret: Tensor, windows: Tensor, vocabulary: int, share: float) -> Tensor:
    """Green lists: bool [rows, vocabulary]. A row whose window is not full (-1) has none."""
    return marked(vocabulary_bits(secret, windows, vocabulary), share) & full(windows)[:, None]


def full(windows: Tensor) -> Tensor:
    """[rows]: no token of the window is missing."""
    return (windows >= 0).all(-1)


def ngrams(completions: Sequence[Example], length: int) -> tuple[Tensor, Tensor, Tensor]:
    """All n-grams inside the completions [n, length], the completion each is in and where its last token stands."""
    lengths = torch.tensor([len(example.token_ids) for example in completions], dtype=torch.long)
    ids = torch.tensor(list(chain.from_iterable(example.token_ids for example in completions)), dtype=torch.long)
    owners = torch.arange(len(lengths)).repeat_interleave(lengths)
    places = torch.arange(len(ids)) - (lengths.cumsum(0) - lengths)[owners]
    last = (places >= length - 1).nonzero()[:, 0]
    return ids[last[:, None] + torch.arange(1 - length, 1)], owners[last], places[last]


def observations(completions: Sequence[Example], width: int) -> tuple[Tensor, Tensor]:
    """Unique pairs of a window of ``width`` completion tokens and the token after it: [n, width] and [n].

    Prompts are left out, and a pair counts once: a text that repeats itself says no more about a key than it did the
    first time, and counting it again makes any model look guilty of some key.
    """
    pairs = ngrams(completions, width + 1)[0].unique(dim=0)
    return pairs[:, :-1], pairs[:, -1]


def binomial_test(
    secrets: Tensor, windows: Tensor, tokens: Tensor, hits: Callable[[Tensor], Tensor], trials: int, share: float
) -> Verdict:
    """Exact one-sided test of each secret: ``hits`` counts the marks in bits [secrets, n] -> [secrets], of ``trials``
    per observation. The first secret is the owner's; the statistic is its share of hits."""
    groups = secrets[:, None].split(max(1, CHUNK // max(1, len(tokens))))
    counts = torch.cat([hits(bits(group, windows, tokens)) for group in groups])
    total = trials * len(tokens)
    return verdict(binomial_tail(counts, total, share), float(counts[0]) / max(1, total), len(tokens))


def binomial_tail(hits: Tensor, count: int, share: float) -> Tensor:
    """P(X >= hits) for X ~ Binomial(count, share), which is I_share(hits, count - hits + 1): exact, in float64."""
    k = torch.arange(count + 1, dtype=torch.float64)
    n = torch.tensor(count, dtype=torch.float64)
    chances = torch.tensor([share, 1 - share], dtype=torch.float64).log()
    logs = (n + 1).lgamma() - (k + 1).lgamma() - (n - k + 1).lgamma() + k * chances[0] + (n - k) * chances[1]
    return logs.flip(0).logcumsumexp(0).flip(0)[hits].exp().clamp(max=1)


def verdict(p_values: Tensor, statistic: float, count: int) -> Verdict:
    """``p_values`` of the owner's key and of the wrong ones."""
    first, *null = p_values.clamp(min=TINY).tolist()
    return Verdict(first, statistic, count, tuple(null))
