"""ADS-C: antidistillation in the probabilities that are shown, as far as no top token changes.
Ullah and Khojasteh, arXiv 2607.15467.

    y' ∝ y · exp(λ_x Δ),    λ_x = the largest value up to λ that keeps argmax y' = argmax y

Its defaults are not on record; the paper's price in served accuracy is zero. Breakers: learning from the text or the
top token alone, which loses nothing. Deviates: the paper classifies images and this shows next-token probabilities; Δ
is antidistillation sampling's, for a gradient of norm 1, so λ is our λ‖g‖; the tilt is at temperature 1, which is what
is shown. What is sampled does not change, so there is no accuracy to calibrate λ to: it is given.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from defenses.antidistillation import Antidistillation
from defenses.primitives.operators import margin_tilt
from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass(kw_only=True)
class AntidistillationMargin(Antidistillation):
    """``margin`` in nats is what the top token keeps of its lead (all of it, where that is less)."""

    strength: float | None = 10.0
    margin: float = 1e-4
    needs: ClassVar[Needs] = Needs.LOGPROBS | Needs.PROXY | Needs.PROXY_GRADIENT

    sample_logits = Defense.sample_logits

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.strength is None or self.margin < 0:
            raise UserError(
                "antidistillation_margin needs a strength (nothing sampled changes, so none can be calibrated; try "
                f"strength=10) and a margin of at least 0, got strength={self.strength}, margin={self.margin}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if not self.active:
            return logprobs
        return margin_tilt(logprobs, self.delta(rows), self.set_strength, self.margin).log_softmax(-1)
