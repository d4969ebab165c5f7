"""Antidistillation sampling: tilt the teacher towards tokens that raise a proxy student's loss when it learns them.
Savani et al., NeurIPS 2025, arXiv 2504.13146, eq. 10 and 11.

    x ~ exp( log p(· | x; θ_T) / τ + λ Δ ) / Z,    Δ = < ∇ log p(· | x; θ_P), g >,    g = ∇ (mean NLL of teacher traces)

Defaults of the paper: ε = 1e-2 in bf16, τ = 0.6, λ swept (0 to 0.15 in the repository). Breakers: deduplication,
max-of-k resampling and a one-word prefill (2606.25059); an adaptive student that reweights its examples (2605.22737).
Deviates: (1) g has norm 1 and the step is a share of ‖θ_P‖, since the paper's λ and ε mean nothing without ‖g‖; our
strength is λ‖g‖. (2) The strength is found by bisection to a loss of served accuracy. (3) The tilt is λτΔ before the
temperature, hence eq. 11 exactly; the released code samples softmax((z + λΔ)/τ). Greedy rows (τ = 0) are unchanged.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from torch import Tensor

from defenses.primitives.calibrated import Calibrated
from defenses.primitives.directional import DirectionalScore, Method, check_vocabularies, norm
from defenses.primitives.gradient import trace_gradient
from defenses.primitives.operators import tilt
from spiritsafe.defense import Cost, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class Antidistillation(Calibrated):
    """``strength`` is λ‖g‖.

    ``epsilon`` is the relative step ε‖g‖/‖θ_P‖ (1e-2 for a proxy in bf16); ``traces`` are the teacher's
    completions that g is taken on, ``batch`` of them at a time. ``method=jvp`` is exact and slow.
    """

    proxy: LanguageModel
    epsilon: float = 1e-3
    method: Method = "finite_difference"
    traces: int = 512
    batch: int = 32
    score: DirectionalScore | None = field(default=None, init=False, repr=False)
    gradient_norm: float | None = field(default=None, init=False)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.PROXY | Needs.PROXY_GRADIENT

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epsilon <= 0 or self.method not in get_args(Method):
            raise UserError(
                f"antidistillation needs epsilon > 0 and method in {get_args(Method)}, got epsilon={self.epsilon}, "
                f"method={self.method!r}"
            )

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        if not self.active:
            return
        self.proxy.model.to(preparation.teacher.device)
        gradient = trace_gradient(self.proxy, preparation.traces(self.traces), self.batch)
        self.gradient_norm = norm(gradient)
        self.score = DirectionalScore.along(self.proxy, gradient, self.epsilon, self.method)
        self.calibrate(preparation)

    def delta(self, rows: Rows) -> Tensor:
        """Eq. 10 for a unit gradient: [rows, vocabulary]."""
        assert self.score is not None, "prepare() takes the gradient"
        return self.score(rows)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if not self.active:
            return logits
        return tilt(logits, self.delta(rows), self.set_strength * rows.temperature)

    def cost(self) -> Cost:
        return Cost(forwards=2.0 * self.active)

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), "gradient_norm": self.gradient_norm, "relative_step": self.epsilon}
