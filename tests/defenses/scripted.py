"""A model that says what it is told to, and replies with reasoning in the tiny models' words."""

from types import SimpleNamespace

import torch
from defense_fakes import tiny
from torch import nn

from spiritsafe.exchange import Message, Outcome, Reply, Request, Usage
from spiritsafe.models import LanguageModel


class Script(nn.Module):
    """Each token has one successor; a turn begins at ``<start>`` (1) and ends at ``<end>`` (0)."""

    def __init__(self, words: list[int], vocabulary: int = 64) -> None:
        super().__init__()
        chain = [1, *words, 0]
        self.after = torch.zeros(vocabulary, dtype=torch.long)
        self.after[chain[:-1]] = torch.tensor(chain[1:])
        self.config = SimpleNamespace(max_position_embeddings=64)
        self.generation_config = SimpleNamespace(eos_token_id=0)
        self.device = torch.device("cpu")

    def forward(self, input_ids: torch.Tensor, **_: object) -> SimpleNamespace:
        logits = nn.functional.one_hot(self.after[input_ids[:, -1:]], len(self.after)).float() * 50
        return SimpleNamespace(logits=logits, past_key_values=None)


def scripted(*words: int) -> LanguageModel:
    """One that writes ``w0`` as token 2, and so on."""
    return LanguageModel(Script(list(words)), tiny().tokenizer, "script", "script")


def thinking(count: int = 7, length: int = 4) -> tuple[list[Request], list[Reply]]:
    """Replies of ``length`` steps of three words and a stop, each with an answer of two words."""
    requests, replies = [], []
    for i in range(count):
        trace = "".join(f" w{(5 * i + 3 * j) % 60} w{(7 * i + j) % 60} w{(i + j) % 60} ;" for j in range(length)) + " "
        ids = tuple(range(3 * length + 4))
        requests.append(Request(f"r{i}", (Message("user", f"w{i} w{i + 9}"),)))
        usage = Usage(3, len(ids))
        replies.append(Reply(Outcome.ANSWERED, f" w{i + 1} w{i + 2}", trace, len(ids) - 3, ids, None, usage, "stop"))
    return requests, replies


def alone(defense, requests, replies):
    return [defense.rewrite_replies([request], [reply])[0] for request, reply in zip(requests, replies, strict=True)]
