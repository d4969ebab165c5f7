"""Two perturbed copies of one model, θ + s·d and θ − s·d, in one pass over a doubled batch.

The result is still the Hugging Face model it was (same forward, same KV cache); only the modules that own parameters
are replaced by ones that read the first half of the batch with one copy and the second half with the other. Every
such module must see the batch as its first dimension, so models with learned positions want ``position_ids`` given
for every row.
"""

import copy
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)


class PairedLinear(nn.Module):
    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)  # [2, out, in]
        self.bias = None if bias is None else nn.Parameter(bias[:, None], requires_grad=False)  # [2, 1, out]

    def forward(self, inputs: Tensor) -> Tensor:
        """[2 · rows, ..., in] -> [2 · rows, ..., out]."""
        halves = inputs.reshape(2, -1, inputs.shape[-1])
        weight = self.weight.transpose(1, 2)
        outputs = torch.bmm(halves, weight) if self.bias is None else torch.baddbmm(self.bias, halves, weight)
        return outputs.view(*inputs.shape[:-1], -1)


class PairedModule(nn.Module):
    """Any other owner of parameters (embeddings, norms, experts): each copy runs on its half."""

    def __init__(self, plus: nn.Module, minus: nn.Module) -> None:
        super().__init__()
        self.plus, self.minus = plus, minus

    def forward(self, *inputs: Tensor) -> Tensor:
        halves = [tensor.chunk(2) for tensor in inputs]
        return torch.cat([self.plus(*(first for first, _ in halves)), self.minus(*(second for _, second in halves))])


def pair(model: Model, direction: Mapping[str, Tensor], step: float) -> Model:
    """``direction`` has one tensor for each of ``model.named_parameters()``; parameters that are tied stay tied.

    Call the result on ``torch.cat([batch, batch])``: the first half comes back under θ + step·d, the second under
    θ − step·d.
    """
    paired = copy.deepcopy(model).requires_grad_(False)
    stacked: dict[Tensor, Tensor] = {}
    for name, parameter in paired.named_parameters():
        delta = step * direction[name]
        stacked[parameter] = torch.stack([parameter + delta, parameter - delta]).to(parameter.dtype)
    return _replace(paired, stacked)  # type: ignore[return-value]


def _replace(module: nn.Module, stacked: Mapping[Tensor, Tensor]) -> nn.Module:
    if type(module) is nn.Linear:
        return PairedLinear(stacked[module.weight], None if module.bias is None else stacked[module.bias])
    if any(True for _ in module.parameters(recurse=False)):
        return PairedModule(*(_perturbed(module, stacked, half) for half in (0, 1)))
    for name, child in module.named_children():
        setattr(module, name, _replace(child, stacked))
    return module


def _perturbed(module: nn.Module, stacked: Mapping[Tensor, Tensor], half: int) -> nn.Module:
    perturbed = copy.deepcopy(module)
    for parameter, original in zip(perturbed.parameters(), module.parameters(), strict=True):
        parameter.data = stacked[original][half]
    return perturbed
