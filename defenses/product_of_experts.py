"""Product of experts: serve only what a weak proxy finds likely too, so that there is little in it to learn.
Allouah, Haghifam, Koyejo and Shokri, "The Distillation Game", arXiv 2605.22737.

    x ~ softmax( ((1 − γ) z_T + γ z_P) / τ )

Defaults of the paper: γ = 0.6, τ = 0.6, top-p 0.95. Breakers: the authors' adaptive student, which reweights its
examples; best of k with a verifier, as against any weaker teacher. Deviates: γ is found by bisection to a loss of
served accuracy. Logits are mixed before the temperature, as theirs are. A proxy with another output size is refused:
padding it with zero logits would make tokens that do not exist likely.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from defenses.primitives.calibrated import Calibrated
from defenses.primitives.directional import check_vocabularies
from defenses.primitives.operators import blend
from spiritsafe.defense import Cost, Needs, Preparation, Rows
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class ProductOfExperts(Calibrated):
    """``strength`` is γ: 1 serves the proxy."""

    proxy: LanguageModel
    interval: ClassVar[tuple[float, float]] = (1e-3, 1.0)
    most: ClassVar[float] = 1.0
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.PROXY

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        if self.active:
            self.proxy.model.to(preparation.teacher.device)
            self.calibrate(preparation)

    def mixed(self, logits: Tensor, weaker: Tensor, rows: Rows) -> Tensor:
        return blend(logits, weaker, self.set_strength)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if not self.active:
            return logits
        return self.mixed(logits, rows.follow(self.proxy.model).to(logits.dtype), rows)

    def cost(self) -> Cost:
        return Cost(forwards=1.0 * self.active)
