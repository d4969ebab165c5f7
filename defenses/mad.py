"""MAD, maximizing angular deviation: show the probabilities whose gradient points farthest from the honest one's.
Orekondy, Schiele and Fritz, "Prediction Poisoning", ICLR 2020, arXiv 1906.10908.

    max ‖ Gᵀy'/‖Gᵀy'‖ − Gᵀy/‖Gᵀy‖ ‖²   s.t.  ‖y' − y‖₁ ≤ ε, y' ∈ Δ,    G = ∇ log p(· | x; w), w the proxy's last layer

Solved as in the paper's code: the best vertex e_j of the simplex, then y' = (1 − α) y + α e_j with the largest α that
fits. In the last layer Gᵀe_j = (e_j − q) ⊗ h, with q the proxy's probabilities and h its last hidden state, so h
cancels from every cosine and all vertices are compared in closed form: one forward pass, no gradient.

Defaults of the paper: ε = 0.5 in its example, over all vertices (`extreme`), with a proxy of random weights; ModelGuard
runs it with ε = 1 and `argmax`. Breakers: learning from the text or the top token alone, denoising, partial Bayes.
Deviates: `argmax` stops where the top token would change, in place of a search over vertices of the constrained set;
the proxy is a trained one unless it is configured otherwise. What is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from defenses.primitives.directional import check_vocabularies
from defenses.primitives.operators import blend, share_within
from spiritsafe.defense import Cost, Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel

Oracle = Literal["extreme", "argmax"]


@dataclass(kw_only=True)
class Mad(Defense):
    """``radius`` is ε, an L1 distance; ``oracle=argmax`` keeps the top token on top, by ``margin`` of probability or by
    its own lead where that is smaller."""

    proxy: LanguageModel
    radius: float = 0.5
    oracle: Oracle = "extreme"
    margin: float = 1e-5
    needs: ClassVar[Needs] = Needs.LOGPROBS | Needs.PROXY

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= 2 or self.oracle not in get_args(Oracle) or not 0 <= self.margin < 1:
            raise UserError(
                f"mad needs a radius in [0, 2], an oracle in {get_args(Oracle)} and a margin in [0, 1), got "
                f"radius={self.radius}, oracle={self.oracle!r}, margin={self.margin}"
            )

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        self.proxy.model.to(preparation.teacher.device)

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if not self.radius:
            return logprobs
        honest = logprobs.exp()
        vertex = deviation(honest, rows.follow(self.proxy.model).double().softmax(-1)).argmax(-1, keepdim=True)
        poison = torch.zeros_like(honest).scatter(-1, vertex, 1.0)
        share = share_within(honest, poison, self.radius)
        if self.oracle == "argmax":
            share = torch.minimum(share, self._keeping_the_top(honest, vertex))
        return blend(honest, poison, share).log()

    def cost(self) -> Cost:
        return Cost(forwards=1.0 * bool(self.radius))

    def _keeping_the_top(self, honest: Tensor, vertex: Tensor) -> Tensor:
        """The largest share of each row's vertex under which the row's top token stays: [rows]."""
        lead = honest.amax(-1, keepdim=True) - honest.gather(-1, vertex)
        share = (lead - self.margin).clamp(min=0) / (1 + lead)
        return share.masked_fill(vertex == honest.argmax(-1, keepdim=True), 1.0)[:, 0]


def deviation(honest: Tensor, guess: Tensor) -> Tensor:
    """− cos(Gᵀe_j, Gᵀy) for every vertex j, times ‖y − q‖, which is the same for all of them; float64.

    ``honest`` is y and ``guess`` q, the proxy's, both [rows, vocabulary].
    """
    away = honest.double() - guess
    aligned = away - (guess * away).sum(-1, keepdim=True)
    lengths = (1 - 2 * guess + guess.square().sum(-1, keepdim=True)).clamp(min=1e-12).sqrt()
    return -aligned / lengths
