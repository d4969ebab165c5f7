"""ModelGuard-W: move mass from the likely tokens to the unlikely ones and keep the most likely one where it was.
Tang et al., USENIX Security 2024; for an attacker who does not know the defense.

    min Σ y'_i log(y_i + 1e-6)   s.t.   ‖y' − y‖₁ <= ε,   y' ∈ Δ,   y'_top >= y'_j + 1e-4

Default: ε = 1. Breakers: training on the top token alone, which is the floor by construction; table inversion (partial
Bayes), since the map is deterministic. Deviates: solved exactly, all rows at once (primitives/guarded.py) in place of
a solver of integer programs; a row that leads by less than 1e-4 keeps the lead it has.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from defenses.primitives.guarded import redirect_below_top
from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class ModelguardW(Defense):
    """``epsilon`` is the L1 distance allowed, ``margin`` what the top token must lead by."""

    epsilon: float = 1.0
    margin: float = 1e-4
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not (0 <= self.epsilon <= 2 and 0 <= self.margin < 1):
            raise UserError(
                "modelguard_w needs 0 <= epsilon <= 2 (an L1 distance) and 0 <= margin < 1, "
                f"got epsilon={self.epsilon}, margin={self.margin}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.epsilon == 0:
            return logprobs
        honest = logprobs.exp()
        return redirect_below_top(honest, -(honest + 1e-6).log(), self.epsilon, self.margin).log()
