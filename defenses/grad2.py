"""GRAD²: show the probabilities whose gradient points the student in a direction of the defender's choice.
Mazeika, Li and Forsyth, ICML 2022, arXiv 2206.14157.

    max ⟨z, Gᵀy'⟩   s.t.  ‖y' − y‖₁ ≤ ε, y' ∈ Δ,    G = ∇ log p(· | x; θ_P), one row a token

Defaults of the paper: z all ones, ε swept over 0, 0.1, ..., 1, the proxy a student early-stopped on undefended replies.
Breakers: learning from the text or the top token alone; a student unlike the proxy. What is sampled does not change.
Deviates: Gz is a central difference (two forward passes) in place of a double backward pass, which it equals but for
rounding; z is scaled to norm 1, which changes no order. It maximises, as the paper's program reads: the released code
minimises and is given −1 for the same target.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from defenses.primitives.directional import DirectionalScore, check_vocabularies
from defenses.primitives.gradient import trace_gradient
from defenses.primitives.operators import redirect
from spiritsafe.defense import Cost, Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel

Target = Literal["ones", "gradient"]


@dataclass(kw_only=True)
class Grad2(Defense):
    """``radius`` is ε, an L1 distance. ``target`` is z: all ``ones``, or the ``gradient`` of the proxy's loss on
    ``traces`` completions of the teacher, ``batch`` at a time, which a student then climbs. ``epsilon`` is the step of
    the difference relative to the proxy's weights (1e-2 for a proxy in bf16)."""

    proxy: LanguageModel
    radius: float = 0.5
    target: Target = "ones"
    epsilon: float = 1e-3
    traces: int = 512
    batch: int = 32
    score: DirectionalScore | None = field(default=None, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.LOGPROBS | Needs.PROXY | Needs.PROXY_GRADIENT

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= 2 or self.target not in get_args(Target) or not self.epsilon > 0:
            raise UserError(
                f"grad2 needs a radius in [0, 2], a target in {get_args(Target)} and epsilon > 0, got "
                f"radius={self.radius}, target={self.target!r}, epsilon={self.epsilon}"
            )

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        if not self.radius:
            return
        self.proxy.model.to(preparation.teacher.device)
        if self.target == "ones":
            towards = {name: torch.ones_like(weight) for name, weight in self.proxy.model.named_parameters()}
        else:
            towards = trace_gradient(self.proxy, preparation.traces(self.traces), self.batch)
        self.score = DirectionalScore.along(self.proxy, towards, self.epsilon)

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if not self.radius:
            return logprobs
        assert self.score is not None, "prepare() takes the direction"
        return redirect(logprobs.exp(), self.score(rows), self.radius).log()

    def cost(self) -> Cost:
        return Cost(forwards=2.0 * bool(self.radius))

    def summary(self) -> dict[str, Any]:
        return {"target": self.target, "relative_step": self.epsilon}
