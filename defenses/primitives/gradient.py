"""The gradient of a proxy's loss on the teacher's traces: where in weight space a student learns from them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from defenses.primitives.directional import norm
from defenses.primitives.lessons import Lessons
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


def trace_gradient(proxy: LanguageModel, traces: Sequence[Example], batch: int) -> dict[str, Tensor]:
    """∇ of the proxy's mean NLL per completion token (prompts masked), float32, keyed like its named parameters."""
    model: nn.Module = proxy.model
    weights = {name: parameter.detach().requires_grad_() for name, parameter in model.named_parameters()}
    gradient = {name: torch.zeros_like(weight, dtype=torch.float32) for name, weight in weights.items()}
    tokens = 0
    for lesson in Lessons(proxy, traces).batches(batch):
        logits = lesson.at_targets(functional_call(model, weights, kwargs=lesson.inputs).logits)
        loss = nn.functional.cross_entropy(logits.float(), lesson.targets, reduction="sum")
        parts = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        for total, part in zip(gradient.values(), parts, strict=True):
            total += part
        tokens += len(lesson.targets)
    if not tokens or not 0 < norm(gradient) < float("inf"):
        raise UserError(
            f"the proxy {proxy.name!r} has no usable gradient on {len(traces)} teacher traces ({tokens} tokens): "
            "check that the teacher answers its calibration prompts and that the proxy's weights are finite"
        )
    return {name: total / tokens for name, total in gradient.items()}
