"""A local model that words reasoning anew, and the defenses that do no more than that.

It is given an instruction and one trace; what it writes counts only where it came to an end of its own.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from defenses.primitives.sentences import assemble, drawn, reasons, with_reasoning
from spiritsafe.defense import Cost, Defense, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Reply, Request
from spiritsafe.models import LanguageModel
from spiritsafe.randomness import stream_key, uniforms

log = logging.getLogger(__name__)


@dataclass
class Rewriter:
    """Greedy at ``temperature`` 0; otherwise each text is drawn from a stream of its own, so that in float32 what is
    written does not depend on the batch. ``tokens`` is what it has written so far, end tokens included."""

    language_model: LanguageModel
    instruction: str
    max_tokens: int = 1024
    temperature: float = 0.0
    key: int = 0
    batch: int = 16
    tokens: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.temperature < 0 or self.batch < 1:
            raise UserError(
                f"a rewriter needs max_tokens >= 1, temperature >= 0 and batch >= 1, got max_tokens={self.max_tokens}, "
                f"temperature={self.temperature}, batch={self.batch}"
            )

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], names: Sequence[str]) -> list[str]:
        """One text for each, stripped of whitespace and thoughts; empty where it had no room, no end, or no words."""
        model = self.language_model
        prompts = [model.prompt_ids((Message("user", f"{self.instruction}\n\n{text}"),)) for text in texts]
        keys = [stream_key(self.key, f"{name}\0{text}", 0) for name, text in zip(names, texts, strict=True)]
        room = context(model)
        written = [""] * len(texts)
        order = sorted((i for i, prompt in enumerate(prompts) if 0 < len(prompt) < room), key=lambda i: len(prompts[i]))
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            longest = torch.tensor([min(self.max_tokens, room - len(prompts[row])) for row in rows])
            streams = torch.tensor([keys[row] for row in rows])
            completions = self._write([prompts[row] for row in rows], streams, longest)
            for row, completion in zip(rows, completions, strict=True):
                self.tokens += len(completion)
                if completion[-1] in model.end_ids:
                    said = model.decode(completion).rpartition(END_THINK)[2].strip()
                    written[row] = "" if THINK in said else said
        return written

    def _write(self, prompts: Sequence[Sequence[int]], streams: Tensor, longest: Tensor) -> list[list[int]]:
        """Completion tokens, at most ``longest`` [rows] of each."""
        model, device = self.language_model.model, self.language_model.device
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(prompt)) + list(prompt) for prompt in prompts], device=device)
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts], device=device)
        ends = torch.tensor(self.language_model.end_ids, dtype=torch.long, device=device)
        streams, longest = streams.to(device), longest.to(device)
        alive = torch.ones_like(longest, dtype=torch.bool)
        columns: list[Tensor] = []
        cache: Any = None
        while bool(alive.any()):
            output = model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :],
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            tokens = self._pick(output.logits[:, -1].float(), streams, len(columns))
            columns.append(tokens.masked_fill(~alive, -1))
            alive = alive & ~torch.isin(tokens, ends) & (len(columns) < longest)
            ids, cache = tokens[:, None], output.past_key_values
            mask = torch.cat([mask, torch.ones_like(ids)], 1)
        return [[token for token in row if token >= 0] for row in torch.stack(columns, 1).tolist()]

    def _pick(self, logits: Tensor, streams: Tensor, step: int) -> Tensor:
        if not self.temperature:
            return logits.argmax(-1)
        mass = (logits / self.temperature).softmax(-1).double().cumsum(-1)
        draws = uniforms(streams, torch.full_like(streams, step)) * mass[:, -1]
        return (mass <= draws[:, None]).sum(-1).clamp(max=logits.shape[-1] - 1)


@dataclass(kw_only=True)
class Reworded(Defense):
    """The reasoning of a share ``strength`` of the replies is worded anew; answers stay as they are, byte for byte.

    ``proxy`` is the model that rewrites, after an ``instruction``. What it writes is shown where its length in
    characters is within a factor of ``ratio`` of the original's, else the original is.
    """

    proxy: LanguageModel | None = None
    strength: float = 1.0
    instruction: str = ""
    ratio: float = 3.0
    max_tokens: int = 1024
    temperature: float = 0.0
    batch: int = 16
    key: int = 0
    rewriter: Rewriter | None = field(default=None, init=False, repr=False)
    default: ClassVar[str] = ""

    def __post_init__(self) -> None:
        name = type(self).__name__
        if not 0 <= self.strength <= 1 or self.ratio < 1:
            raise UserError(
                f"{name} needs a strength (share of replies) from 0 to 1 and a ratio of at least 1, got "
                f"strength={self.strength}, ratio={self.ratio}"
            )
        if self.uses_model:
            model, instruction = instructed(name, self.proxy), self.instruction or self.default
            self.rewriter = Rewriter(model, instruction, self.max_tokens, self.temperature, self.key, self.batch)

    @property
    def uses_model(self) -> bool:
        return True

    def prepare(self, preparation: Preparation) -> None:
        if self.proxy is not None:
            self.proxy.model.to(preparation.teacher.device)

    def reworded(self, requests: Sequence[Request], traces: Sequence[str]) -> list[str]:
        assert self.rewriter is not None
        return self.rewriter(traces, [request.id for request in requests])

    def rewrite_replies(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        shown = list(replies)
        places = [
            place
            for place, (request, reply) in enumerate(zip(requests, replies, strict=True))
            if reasons(request, reply) and drawn(request, self.strength, self.key)
        ]
        traces = [replies[place].reasoning or "" for place in places]
        texts = self.reworded([requests[place] for place in places], traces) if places else []
        for place, trace, text in zip(places, traces, texts, strict=True):
            text = assemble([text], trace)
            if len(trace) <= self.ratio * len(text) and len(text) <= self.ratio * len(trace):
                shown[place] = with_reasoning(shown[place], text)
        if self.rewriter is not None:
            changed = sum(shown[place] is not replies[place] for place in places)
            log.info("%s: %d of %d traces rewritten, the others left", type(self).__name__, changed, len(places))
        return shown

    def cost(self) -> Cost:
        return Cost(tokens=self.rewriter.tokens if self.rewriter else 0)


def instructed(name: str, proxy: LanguageModel | None) -> LanguageModel:
    if proxy is None:
        raise UserError(
            f"{name} needs a model that follows instructions: set proxy=..., such as "
            "{_target_: spiritsafe.models.load, path: <folder>}"
        )
    return proxy


def context(language_model: LanguageModel) -> int:
    """Tokens the model can read."""
    config = language_model.model.config
    limits = (getattr(config, name, None) for name in ("max_position_embeddings", "sliding_window"))
    return min((limit for limit in limits if limit), default=sys.maxsize)
