"""Noisy teacher: the teacher itself with noise on its weights, the control that is worse for no reason.

    θ'_i = θ_i + σ · rms(θ_i) · N(0, 1),    matrices only (embeddings included; norms and biases as they are)

The control of every defense that costs accuracy: at equal loss, what does a student of a plainly worse teacher lose?
No published default. Breakers: best of k with a verifier; there is nothing else to undo. Deviates: nothing to deviate
from; σ is found by bisection to a loss of served accuracy, along one draw of the noise per seed.
"""

import copy
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from defenses.primitives.calibrated import Calibrated
from spiritsafe.defense import Needs, Preparation
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class NoisyTeacher(Calibrated):
    """``strength`` is σ. The noise is kept, which costs memory for a third set of weights, so that another σ is one
    addition."""

    seed: int = field(default=0, init=False)
    noise: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    served: LanguageModel | None = field(default=None, init=False, repr=False)
    interval: ClassVar[tuple[float, float]] = (1e-3, 1.0)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS

    def prepare(self, preparation: Preparation) -> None:
        if not self.active:
            return
        teacher = preparation.teacher
        self.seed = preparation.seed
        generator = torch.Generator().manual_seed(self.seed)  # on the CPU: one draw for all devices
        self.noise = {
            name: (_rms(weight) * torch.randn(weight.shape, generator=generator)).to(weight)
            for name, weight in teacher.model.named_parameters()
            if weight.dim() > 1
        }
        self.served = replace(teacher, model=copy.deepcopy(teacher.model))
        self.calibrate(preparation)

    @torch.no_grad()
    def substitute(self, teacher: LanguageModel) -> LanguageModel:
        """One copy, whose weights are made anew in place for the ``teacher`` and the strength of this call."""
        if not self.active:
            return teacher
        assert self.served is not None, "prepare() draws the noise"
        model: nn.Module = self.served.model
        for (name, weight), clean in zip(model.named_parameters(), teacher.model.parameters(), strict=True):
            weight.copy_(clean)
            if name in self.noise:
                weight.add_(self.noise[name], alpha=self.set_strength)
        self.served.name = f"{teacher.name} with noise of {self.set_strength:g}"
        self.served.digest = f"{teacher.digest}-noise-{self.seed}-{self.set_strength!r}"
        return self.served


def _rms(weight: Tensor) -> float:
    return float(weight.detach().float().square().mean().sqrt())
