"""What must hold of every defense that changes only what is shown, under the real sampler."""

import pytest
import torch
from defense_fakes import tiny

from spiritsafe.exchange import Message, Request, Sampling
from teacher.sampler import Sampler

FAMILIES = ("llama", "qwen2", "gpt_neox")


def requests(vocabulary, count=7, temperature=1.0):
    sampling = Sampling(temperature=temperature, max_tokens=8)
    prompts = [" ".join(f"w{(7 * i + j) % 60}" for j in range(1 + i % 4)) for i in range(count)]
    return [Request(f"r{i}", (Message("user", p),), sampling, 1, vocabulary) for i, p in enumerate(prompts)]


def serve(teacher, *defenses, batch_size=4):
    asked = requests(teacher.vocabulary)
    return Sampler(teacher, seed=3, batch_size=batch_size, defenses=defenses).respond(asked)


def table(replies, vocabulary):
    """The log probabilities shown at every position of every reply: [positions, vocabulary]."""
    shown = [pair for reply in replies for pair in zip(reply.logprobs.ids, reply.logprobs.values, strict=True)]
    rows = torch.full((len(shown), vocabulary), -torch.inf)
    for row, (ids, values) in zip(rows, shown, strict=True):
        row[list(ids)] = torch.tensor(values)
    return rows


def served(family, *defenses):
    """What is shown without and with ``defenses``, once the text and the independence of batches were checked."""
    teacher = tiny(family, seed=1)
    plain, under = serve(teacher), [serve(teacher, *defenses, batch_size=size) for size in (1, 4, 7)]
    for replies in under:
        assert [reply.token_ids for reply in replies] == [reply.token_ids for reply in plain]
    tables = [table(replies, teacher.vocabulary) for replies in under]
    for other in tables[1:]:
        torch.testing.assert_close(tables[0], other)
    return table(plain, teacher.vocabulary), tables[0]


def logprobs(seed, rows=5, vocabulary=40, heat=2.0):
    generator = torch.Generator().manual_seed(seed)
    return (heat * torch.randn(rows, vocabulary, generator=generator)).log_softmax(-1)


def adds_up(shown):
    return shown.exp().sum(-1).tolist() == pytest.approx([1.0] * len(shown), abs=1e-4)
