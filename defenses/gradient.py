"""The gradient of a proxy's loss on the teacher's traces: where in weight space a student learns from them."""

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from defenses.directional import norm
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


def trace_gradient(proxy: LanguageModel, traces: Sequence[Example], batch: int) -> dict[str, Tensor]:
    """∇ of the proxy's mean NLL per completion token (prompts masked), float32, keyed like its named parameters."""
    model: nn.Module = proxy.model
    weights = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    gradient = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    tokens = 0
    for start in range(0, len(traces), batch):
        pairs = [
            (
                proxy.prompt_ids(trace.messages, trace.prefill),
                list(trace.token_ids) or proxy.completion_ids(trace.completion),
            )
            for trace in traces[start : start + batch]
        ]
        columns = list(itertools.zip_longest(*(prompt + completion for prompt, completion in pairs), fillvalue=-1))
        ids = torch.tensor(columns, device=proxy.device).T
        prompts = torch.tensor([len(prompt) for prompt, _ in pairs], device=proxy.device)
        learned = (torch.arange(ids.shape[1], device=proxy.device) >= prompts[:, None]) & (ids >= 0)
        inputs = {"input_ids": ids.clamp(min=0), "attention_mask": (ids >= 0).long(), "use_cache": False}
        logits = functional_call(model, weights, kwargs=inputs).logits[:, :-1]
        targets = ids[:, 1:].masked_fill(~learned[:, 1:], -100)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten(), reduction="sum")
        parts = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        for total, part in zip(gradient.values(), parts, strict=True):
            total += part
        tokens += int(learned.sum())
    if not tokens or not 0 < norm(gradient) < float("inf"):
        raise UserError(
            f"the proxy {proxy.name!r} has no usable gradient on {len(traces)} teacher traces ({tokens} tokens): "
            "check that the teacher answers its calibration prompts and that the proxy's weights are finite"
        )
    return {name: total / tokens for name, total in gradient.items()}
