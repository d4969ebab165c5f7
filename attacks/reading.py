"""A model of the attacker's reads training rows: what it predicts at every token of their completions."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from spiritsafe.attack import Example

if TYPE_CHECKING:
    from spiritsafe.models import LanguageModel


@dataclass(frozen=True)
class Reading:
    """``logits`` [n, vocabulary] (float32) and ``targets`` [n] at the n completion tokens of a batch; ``rows`` [n] says
    whose they are."""

    rows: Tensor
    logits: Tensor
    targets: Tensor

    @property
    def nll(self) -> Tensor:
        return cross_entropy(self.logits, self.targets, reduction="none")


def read(language_model: LanguageModel, examples: Sequence[Example], batch: int) -> Iterator[Reading]:
    """``batch`` rows at a time, those of a length together. The text is what is read, by the model's own tokenizer; it
    is cut where the model's context ends, and a row with no completion token within it is in no reading."""
    context = getattr(language_model.model.config.get_text_config(), "max_position_embeddings", None) or sys.maxsize
    texts = []
    for row, example in enumerate(examples):
        prompt = language_model.prompt_ids(example.messages, example.prefill)
        ids = (prompt + language_model.completion_ids(example.completion))[:context]
        if prompt and len(ids) > len(prompt):
            texts.append((row, len(prompt), torch.tensor(ids)))
    texts.sort(key=lambda text: len(text[2]))
    for start in range(0, len(texts), batch):
        part = texts[start : start + batch]
        padded = pad_sequence([ids for _, _, ids in part], batch_first=True)
        column = torch.arange(1, padded.shape[1])
        places, prompts, lengths = torch.tensor([(row, prompt, len(ids)) for row, prompt, ids in part]).unbind(1)
        kept = (column >= prompts[:, None]) & (column < lengths[:, None])
        at = kept.nonzero(as_tuple=True)
        padded, kept = padded.to(language_model.device), kept.to(language_model.device)
        logits = language_model.model(input_ids=padded, use_cache=False).logits[:, :-1]
        yield Reading(places[at[0]], logits[kept].float(), padded[:, 1:][kept])


@torch.no_grad()
def mean_nll(language_model: LanguageModel, examples: Sequence[Example], batch: int) -> Tensor:
    """Negative log likelihood per completion token, the end token's included, [rows] (float64, on the CPU); infinite
    where a row has no completion token that the model can read."""
    total, count = torch.zeros(2, len(examples), dtype=torch.float64)
    for reading in read(language_model, examples, batch):
        total.index_add_(0, reading.rows, reading.nll.double().cpu())
        count.index_add_(0, reading.rows, torch.ones(len(reading.rows), dtype=torch.float64))
    return torch.where(count > 0, total / count, torch.inf)
