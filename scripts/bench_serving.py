"""Serving: our sampler against transformers' `generate`, with and without antidistillation."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

import torch
from torch import Tensor
from transformers import DynamicCache, LogitsProcessor, PreTrainedModel

from defenses.antidistillation import Antidistillation
from defenses.primitives.directional import DirectionalScore
from scripts.bench_rounds import Side
from scripts.reference_card import SAMPLING
from spiritsafe.attack import Example, demonstrations
from spiritsafe.defense import Defense
from spiritsafe.exchange import Request
from spiritsafe.models import LanguageModel
from spiritsafe.task import Split
from spiritsafe.tasks.procedural import Procedural
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Recipes, Restricted
from spiritsafe.tasks.tools import Tools
from teacher.sampler import Sampler

MIX: tuple[type[Procedural], ...] = (Tools, Programs, Recipes, Restricted)


def load(count: int) -> list[Request]:
    """Turns of look-ups (short), programs and recipes (long) and restricted recipes (refused), equally many of each,
    shuffled."""
    each = count // len(MIX)
    requests = []
    for task in MIX:
        turns = [turn for item in task().items(Split.TEST, each) for turn in demonstrations(item)]
        requests += [Request(f"{task.name}-{i}", turns[i % len(turns)].messages, SAMPLING) for i in range(each)]
    Random(0).shuffle(requests)
    return requests


def traces(count: int) -> list[Example]:
    """Worked calibration items, in place of a teacher's completions: the gradient costs and counts the same."""
    items = [item for task in MIX[:3] for item in task().items(Split.CALIBRATION, count)]
    Random(0).shuffle(items)
    return [demonstrations(item)[0] for item in items[:count]]


def sampler(teacher: LanguageModel, requests: Sequence[Request], batch: int, *defenses: Defense) -> int:
    """Completion tokens, end tokens included, from messages to text."""
    replies = Sampler(teacher, batch_size=batch, defenses=defenses).respond(requests)
    return sum(reply.usage.completion_tokens for reply in replies)


@torch.inference_mode()
def generate(
    teacher: LanguageModel,
    requests: Sequence[Request],
    batch: int,
    processor: Callable[[], LogitsProcessor] | None = None,
) -> int:
    """The same by `generate`, on left-padded batches in the order given; what a row makes past its end is not useful.

    All requests share temperature and top-p. Each batch has a ``processor`` of its own.
    """
    sampling, end, useful = requests[0].sampling, teacher.end_ids, 0
    for start in range(0, len(requests), batch):
        asked = requests[start : start + batch]
        prompts = [teacher.prompt_ids(request.messages) for request in asked]
        longest = max(map(len, prompts))
        pads = torch.tensor([longest - len(prompt) for prompt in prompts], device=teacher.device)
        made = teacher.model.generate(
            torch.tensor([[end[0]] * (longest - len(prompt)) + prompt for prompt in prompts], device=teacher.device),
            attention_mask=(torch.arange(longest, device=teacher.device) >= pads[:, None]).long(),
            max_new_tokens=max(request.sampling.max_tokens for request in asked),
            do_sample=sampling.temperature > 0,
            temperature=sampling.temperature or None,
            top_p=sampling.top_p,
            top_k=0,
            pad_token_id=end[0],
            logits_processor=[processor()] if processor else None,
        )[:, longest:].tolist()
        for request, tokens in zip(asked, made, strict=True):
            tokens = tokens[: request.sampling.max_tokens]
            ends = [place for place, token in enumerate(tokens, 1) if token in end]
            teacher.decode(tokens[: ends[0] if ends else None])
            useful += ends[0] if ends else len(tokens)
    return useful


class TwoPasses(LogitsProcessor):
    """The tilt of antidistillation as one would first write it: two perturbed proxies, a pass and a KV cache each.
    For one batch padded on the left with ``pad``."""

    def __init__(self, proxies: Sequence[PreTrainedModel], step: float, weight: float, pad: int) -> None:
        self.proxies, self.step, self.weight, self.pad = proxies, step, weight, pad
        self.caches = [DynamicCache() for _ in proxies]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        mask = ((input_ids != self.pad).cumsum(-1) > 0).long()
        new = slice(self.caches[0].get_seq_length(), None)
        inputs = {
            "input_ids": input_ids[:, new],
            "attention_mask": mask,
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0)[:, new],
        }
        plus, minus = (
            proxy(**inputs, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].float()
            for proxy, cache in zip(self.proxies, self.caches, strict=True)
        )
        return scores + self.weight * (plus.log_softmax(-1) - minus.log_softmax(-1)) / (2 * self.step)


def perturbed(score: DirectionalScore, sign: int) -> PreTrainedModel:
    model = copy.deepcopy(score.proxy.model)
    for name, parameter in model.named_parameters():
        parameter.data += sign * score.step * score.direction[name]
    return model


@dataclass
class Prepared:
    """A `Preparation` that has traces and no more, which is all that a fixed strength asks for."""

    teacher: LanguageModel
    examples: Sequence[Example]
    seed: int = 0

    def traces(self, count: int, tasks: Sequence[str] | None = None) -> list[Example]:
        return list(self.examples[:count])

    def utility(self, defenses: Sequence[Defense]) -> float:
        raise NotImplementedError("the benchmark's strength is fixed")

    def benign(self, count: int) -> list[tuple[str, str]]:
        raise NotImplementedError("no classifier is benchmarked")

    def kept(self, name: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return make()


def plain_sides(teacher: LanguageModel, requests: Sequence[Request], batch: int) -> dict[str, Side]:
    return {
        "our sampler": partial(sampler, teacher, requests, batch),
        "generate": partial(generate, teacher, requests, batch),
    }


def defended_sides(
    teacher: LanguageModel,
    proxy: LanguageModel,
    requests: Sequence[Request],
    batch: int,
    strength: float,
    examples: Sequence[Example],
) -> dict[str, Side]:
    defense = Antidistillation(proxy=proxy, strength=strength)
    defense.prepare(Prepared(teacher, examples))
    assert defense.score is not None
    proxies = [perturbed(defense.score, sign) for sign in (1, -1)]
    weight = strength * requests[0].sampling.temperature
    processor = partial(TwoPasses, proxies, defense.score.step, weight, teacher.end_ids[0])
    return {
        "our sampler with antidistillation": partial(sampler, teacher, requests, batch, defense),
        "generate with a processor": partial(generate, teacher, requests, batch, processor),
    }
