"""Text served by the real sampler, and a suspect that has learnt from it: for tests of ownership."""

from collections.abc import Sequence
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from spiritsafe.attack import Example
from spiritsafe.defense import Defense
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.models import LanguageModel
from teacher.sampler import Sampler


def requests(count: int = 9, temperature: float = 1.0, max_tokens: int = 12) -> list[Request]:
    texts = [" ".join(f"w{(7 * i + j) % 60}" for j in range(1 + i % 4)) for i in range(count)]
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
    return [Request(f"r{i}", (Message("user", text),), sampling) for i, text in enumerate(texts)]


def tokens(teacher: LanguageModel, *defenses: Defense, batch_size: int = 4, **asked: float) -> list[tuple[int, ...]]:
    replies = Sampler(teacher, seed=3, batch_size=batch_size, defenses=defenses).respond(requests(**asked))
    return [reply.token_ids for reply in replies]


def served(teacher: LanguageModel, *defenses: Defense, count: int = 60) -> list[Example]:
    asked = requests(count, max_tokens=40)
    replies = Sampler(teacher, seed=4, batch_size=count, defenses=defenses).respond(asked)
    return [
        Example(request.messages, reply.text, token_ids=reply.token_ids)
        for request, reply in zip(asked, replies, strict=True)
    ]


class Trigrams(nn.Module):
    """A student that counts: p(token | two before it) with additive smoothing."""

    device = torch.device("cpu")

    def __init__(self, text: Sequence[Example], vocabulary: int, smoothing: float = 0.05) -> None:
        super().__init__()
        counts = torch.full((vocabulary, vocabulary, vocabulary), smoothing)
        for example in text:
            ids = torch.tensor(example.token_ids)
            if len(ids) > 2:
                counts.index_put_((ids[:-2], ids[1:-1], ids[2:]), torch.ones(len(ids) - 2), accumulate=True)
        self.logits = counts.log()

    def forward(self, input_ids: Tensor, **kwargs: object) -> SimpleNamespace:
        before = torch.cat([input_ids[:, :1], input_ids[:, :-1]], 1)
        return SimpleNamespace(logits=self.logits[before, input_ids])

    def get_output_embeddings(self) -> nn.Linear:
        return nn.Linear(1, self.logits.shape[-1])
