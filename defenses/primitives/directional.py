"""Directional score over the vocabulary: how fast a proxy's log p(v | context) grows along a direction in its weights.

    c_v = < ∇ log p(v | x ; θ), d >  ≈  [ log p(v | x ; θ + s·d) − log p(v | x ; θ − s·d) ] / (2s)

For all V tokens at once that is one directional derivative: two perturbed proxies in one pass, or one forward-mode
product. The primitive under antidistillation sampling (arXiv 2504.13146, eq. 10) and its relatives.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.func import functional_call, jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from defenses.primitives.paired import pair
from spiritsafe.defense import Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel

Method = Literal["finite_difference", "jvp"]


@dataclass
class DirectionalScore:
    """``direction`` is keyed like ``proxy.model.named_parameters()`` and has norm 1; ``step`` is s.

    ``jvp`` is exact but reads every row from its beginning at every token: for tests and short runs.
    """

    proxy: LanguageModel
    direction: Mapping[str, Tensor]
    step: float
    method: Method = "finite_difference"

    def __post_init__(self) -> None:
        if self.method == "finite_difference":
            self.paired = pair(self.proxy.model, self.direction, self.step)

    @classmethod
    def along(
        cls,
        proxy: LanguageModel,
        gradient: Mapping[str, Tensor],
        epsilon: float,
        method: Method = "finite_difference",
    ) -> "DirectionalScore":
        """Along a gradient of any length, in steps of ``epsilon`` times the norm of the proxy's weights."""
        length = norm(gradient)
        direction = {name: tensor / length for name, tensor in gradient.items()}
        return cls(proxy, direction, epsilon * norm(dict(proxy.model.named_parameters())), method)

    def __call__(self, rows: Rows) -> Tensor:
        """[rows, vocabulary]."""
        if self.method == "jvp":
            return self._exact(rows)
        plus, minus = rows.follow(self.paired, copies=2).float().log_softmax(-1)
        return (plus - minus) / (2 * self.step)

    def _exact(self, rows: Rows) -> Tensor:
        ids = rows.context(self.proxy.model.config.max_position_embeddings)
        ids = ids[:, (ids >= 0).any(0)]
        mask = (ids >= 0).long()
        inputs = {
            "input_ids": ids.clamp(min=0),
            "attention_mask": mask,
            "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
            "use_cache": False,
        }

        def next_logprobs(weights: Mapping[str, Tensor]) -> Tensor:
            return functional_call(self.proxy.model, weights, kwargs=inputs).logits[:, -1].log_softmax(-1)  # type: ignore[arg-type]

        weights = {name: parameter.detach() for name, parameter in self.proxy.model.named_parameters()}
        tangents = {name: self.direction[name].to(weights[name].dtype) for name in weights}
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no forward-mode derivative
            return jvp(next_logprobs, (weights,), (tangents,))[1]


def norm(tensors: Mapping[str, Tensor]) -> float:
    """Euclidean norm over all tensors together."""
    return math.sqrt(sum(float(tensor.double().square().sum()) for tensor in tensors.values()))


def check_vocabularies(teacher: LanguageModel, proxy: LanguageModel) -> None:
    if teacher.vocabulary != proxy.vocabulary:
        raise UserError(
            f"the proxy {proxy.name!r} has {proxy.vocabulary} output tokens and the teacher {teacher.name!r} has "
            f"{teacher.vocabulary}: choose a proxy with the teacher's tokenizer and output size (proxy.path=...)"
        )
    if _plain_vocabulary(teacher) != _plain_vocabulary(proxy):
        raise UserError(
            f"the proxy {proxy.name!r} and the teacher {teacher.name!r} both have {teacher.vocabulary} output tokens "
            "but number them differently: choose a proxy with the teacher's tokenizer (proxy.path=...)"
        )


def _plain_vocabulary(language_model: LanguageModel) -> dict[str, int]:
    """Without added tokens, which relatives often name differently (Qwen2.5 and its DeepSeek distillations do)."""
    added = language_model.tokenizer.get_added_vocab()
    return {token: index for token, index in language_model.tokenizer.get_vocab().items() if token not in added}
