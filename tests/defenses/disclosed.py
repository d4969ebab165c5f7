"""What the tests of defenses that change only what is shown have in common."""

import torch

from spiritsafe.exchange import Message, Request, Sampling
from teacher.sampler import Sampler


def drawn(seed, rows=6, vocabulary=8, heat=2.0, dtype=torch.float64):
    """Random log probabilities [rows, vocabulary]."""
    generator = torch.Generator().manual_seed(seed)
    return (heat * torch.randn(rows, vocabulary, generator=generator, dtype=torch.float64)).log_softmax(-1).to(dtype)


def distance(first, second):
    """L1 of two tensors of log probabilities: [rows]."""
    return (first.exp() - second.exp()).abs().sum(-1)


def is_normalised(logprobs):
    total = logprobs.exp().sum(-1)
    return bool(logprobs.isnan().sum() == 0) and bool((total - 1).abs().max() < 1e-5)


def requests(count=9, top_logprobs=64, max_tokens=8):
    return [
        Request(
            f"r{index}",
            (Message("user", " ".join(f"w{(7 * index + word) % 60}" for word in range(1 + index % 4))),),
            Sampling(max_tokens=max_tokens),
            top_logprobs=top_logprobs,
        )
        for index in range(count)
    ]


def served(teacher, *defenses, batch_size=4, count=9):
    return Sampler(teacher, seed=3, batch_size=batch_size, defenses=defenses).respond(requests(count))


def tokens(replies):
    return [reply.token_ids for reply in replies]


def table(replies):
    """The whole distributions that were shown, by token id: [positions, vocabulary]."""
    rows = []
    for reply in replies:
        for ids, values in zip(reply.logprobs.ids, reply.logprobs.values, strict=True):
            row = torch.full((64,), -torch.inf)
            row[list(ids)] = torch.tensor(values)
            rows.append(row)
    return torch.stack(rows)
