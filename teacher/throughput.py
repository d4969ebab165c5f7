"""How many useful tokens a second: our sampler, and transformers' `generate` on the same requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from spiritsafe.defense import Defense
from spiritsafe.exchange import Request
from spiritsafe.models import LanguageModel
from teacher.sampler import Sampler


@dataclass(frozen=True)
class Throughput:
    """Useful completion tokens, end tokens included, and the seconds of all the work from messages to text."""

    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        return self.tokens / self.seconds


def sampler_throughput(
    language_model: LanguageModel, requests: Sequence[Request], batch_size: int = 256, defenses: Sequence[Defense] = ()
) -> Throughput:
    started = time.perf_counter()
    replies = Sampler(language_model, batch_size=batch_size, defenses=defenses).respond(requests)
    return Throughput(sum(reply.usage.completion_tokens for reply in replies), time.perf_counter() - started)


@torch.inference_mode()
def generate_throughput(
    language_model: LanguageModel, requests: Sequence[Request], batch_size: int = 256, processor: object | None = None
) -> Throughput:
    """The same for `generate` on left-padded batches in the order given; what a row makes past its end is not useful.

    All requests must share temperature and top-p. ``processor`` is a transformers `LogitsProcessor`.
    """
    device = language_model.device
    sampling, end_ids = requests[0].sampling, list(language_model.end_ids)
    useful, started = 0, time.perf_counter()
    for start in range(0, len(requests), batch_size):
        batch = requests[start : start + batch_size]
        prompts = [language_model.prompt_ids(request.messages) for request in batch]
        longest = max(map(len, prompts))
        pads = torch.tensor([longest - len(prompt) for prompt in prompts], device=device)
        made = language_model.model.generate(
            torch.tensor([[end_ids[0]] * (longest - len(prompt)) + prompt for prompt in prompts], device=device),
            attention_mask=(torch.arange(longest, device=device) >= pads[:, None]).long(),
            max_new_tokens=max(request.sampling.max_tokens for request in batch),
            do_sample=sampling.temperature > 0,
            temperature=sampling.temperature or None,
            top_p=sampling.top_p,
            top_k=0,
            pad_token_id=end_ids[0],
            logits_processor=[processor] if processor else None,
        )[:, longest:].tolist()
        for request, tokens in zip(batch, made, strict=True):
            tokens = tokens[: request.sampling.max_tokens]
            ends = [place for place, token in enumerate(tokens, 1) if token in end_ids]
            language_model.decode(tokens[: ends[0] if ends else None])
            useful += ends[0] if ends else len(tokens)
    return Throughput(useful, time.perf_counter() - started)
