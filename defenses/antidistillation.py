"""Antidistillation sampling: tilt the teacher towards tokens that raise a proxy student's loss when it learns them.
Savani et al., NeurIPS 2025, arXiv 2504.13146, eq. 10 and 11.

    x ~ exp( log p(· | x; θ_T) / τ + λ Δ ) / Z,    Δ = < ∇ log p(· | x; θ_P), g >,    g = ∇ (mean NLL of teacher traces)

Defaults of the paper: ε = 1e-2 in bf16, τ = 0.6, λ swept (0 to 0.15 in the repository). Breakers: deduplication,
max-of-k resampling and a one-word prefill (2606.25059); an adaptive student that reweights its examples (2605.22737).
Deviates: (1) g has norm 1 and the step is a share of ‖θ_P‖, since the paper's λ and ε mean nothing without ‖g‖; our
strength is λ‖g‖. (2) The strength is found by bisection to a loss of served accuracy. (3) The tilt is λτΔ before the
temperature, hence eq. 11 exactly; the released code samples softmax((z + λΔ)/τ). Greedy rows (τ = 0) are unchanged,
and so are the log probabilities that `disclose` shows: an interface that offers them needs a second defense.
"""

from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from torch import Tensor

from defenses.calibrate import Calibration, to_utility_loss
from defenses.directional import DirectionalScore, Method, check_vocabularies, norm
from defenses.gradient import trace_gradient
from spiritsafe.defense import Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass
class Antidistillation(Defense):
    """``strength`` is λ‖g‖: 0 touches nothing, null finds the one in (``low``, ``high``) that costs ``utility_loss``.

    ``epsilon`` is the relative step ε‖g‖/‖θ_P‖ (1e-2 for a proxy in bf16); ``traces`` are the teacher's
    completions that g is taken on, ``batch`` of them at a time. ``method=jvp`` is exact and slow.
    """

    proxy: LanguageModel
    strength: float | None = None
    utility_loss: float = 0.05
    epsilon: float = 1e-3
    method: Method = "finite_difference"
    traces: int = 512
    batch: int = 32
    low: float = 1e-2
    high: float = 1e3
    evaluations: int = 8
    score: DirectionalScore | None = field(default=None, init=False, repr=False)
    gradient_norm: float | None = field(default=None, init=False)
    calibration: Calibration | None = field(default=None, init=False)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.PROXY | Needs.PROXY_GRADIENT

    def __post_init__(self) -> None:
        if (
            self.epsilon <= 0
            or (self.strength is not None and self.strength < 0)
            or self.method not in get_args(Method)
        ):
            raise UserError(
                f"antidistillation needs epsilon > 0, strength >= 0 (or null) and method in {get_args(Method)}, "
                f"got epsilon={self.epsilon}, strength={self.strength}, method={self.method!r}"
            )

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        if self.strength == 0:
            return
        self.proxy.model.to(preparation.teacher.device)
        gradient = trace_gradient(self.proxy, preparation.traces(self.traces), self.batch)
        self.gradient_norm = norm(gradient)
        direction = {name: tensor / self.gradient_norm for name, tensor in gradient.items()}
        step = self.epsilon * norm(dict(self.proxy.model.named_parameters()))
        self.score = DirectionalScore(self.proxy, direction, step, self.method)
        if self.strength is None:
            self.calibration = to_utility_loss(
                self, "strength", preparation, self.utility_loss, self.low, self.high, self.evaluations
            )

    def delta(self, rows: Rows) -> Tensor:
        """Eq. 10 for a unit gradient: [rows, vocabulary]."""
        assert self.score is not None, "prepare() takes the gradient"
        return self.score(rows)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if self.strength == 0:
            return logits
        assert self.strength is not None, "prepare() finds the strength"
        return logits + self.strength * rows.temperature[:, None] * self.delta(rows)

    def summary(self) -> dict[str, Any]:
        found = self.calibration.summary() if self.calibration else {}
        return {
            "strength": self.strength,
            "gradient_norm": self.gradient_norm,
            "relative_step": self.epsilon,
            **found,
        }
