"""Weigh every row by how far learning it agrees with what the attacker can check: the adaptive student of The
Distillation Game, Allouah, Haghifam, Koyejo and Shokri, arXiv 2605.22737.

    w_i ∝ exp(β clip(a_i, ±10)), mean 1,    a_i = [ℓ_i(θ + εg) − ℓ_i(θ − εg)] / 2ε ≈ ⟨∇ℓ_i, g⟩

ℓ_i is the NLL of row i and g the gradient of the NLL of hold-out rows, both at the student before it learns. Sign: a
row helps where a step down the hold-out's loss lowers its own too, which is a_i > 0; so with β > 0 clean rows outrank
shuffled ones. The released code has the difference the other way round; β < 0 is that reading.
Defaults of the code: ε = 0.01, β = 0.5. Known breaker: poison that a gradient on the hold-out does not see. A hold-out
that the student knows already ranks nothing, since what is left of g is noise.
Deviates: g is taken over all weights, since of a fresh adapter only one factor has a gradient; ℓ_i is per token, so
that the length of a row does not weigh; weights are normalised over all rows, as in the code (the paper: a batch).
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from attacks.owned import owned
from attacks.reading import mean_nll, read
from spiritsafe.attack import Example, Workshop
from spiritsafe.errors import UserError
from spiritsafe.randomness import stream_key

if TYPE_CHECKING:
    from spiritsafe.models import LanguageModel

Holdout = Literal["public", "harvest"]
LIMIT = 10.0  # of a_i


@dataclass
class GradientWeights:
    """``beta`` is β, ``epsilon`` ε.

    ``holdout`` is where g is taken: about ``count`` public demonstrations of ``tasks`` (none named: of all
    capabilities), or a ``share`` of the harvest, which then is not trained on. ``batch`` rows are read at a time.
    """

    beta: float = 0.5
    epsilon: float = 0.01
    holdout: Holdout = "public"
    count: int = 256
    tasks: Sequence[str] = ()
    share: float = 0.2
    batch: int = 16
    workshop: Workshop | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.epsilon <= 0 or self.holdout not in get_args(Holdout):
            raise UserError(
                f"gradient_weights needs epsilon > 0 and holdout in {get_args(Holdout)}, got epsilon={self.epsilon}, "
                f"holdout={self.holdout!r}"
            )
        if self.count < 1 or self.batch < 1 or not 0 < self.share < 1:
            raise UserError(
                f"gradient_weights needs count >= 1, batch >= 1 and 0 < share < 1, got count={self.count}, "
                f"batch={self.batch}, share={self.share}"
            )

    def equip(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def refine(self, examples: Sequence[Example]) -> list[Example]:
        assert self.workshop is not None, "equip() gives the student"
        rows, apart = list(examples), []
        if self.holdout == "public":
            apart = owned(self.workshop, self.count, self.tasks)
            if not apart:
                raise UserError(
                    "gradient_weights found no public demonstrations to check rows against: use holdout=harvest, or "
                    "tasks that have some"
                )
        else:
            held = [self._held_out(row) for row in rows]
            apart = [row for row, out in zip(rows, held, strict=True) if out]
            rows = [row for row, out in zip(rows, held, strict=True) if not out]
        if not rows or not apart:  # a harvest too small to be parted
            return list(examples)
        agreement = self.agreement(self.workshop.student, rows, apart)
        weights = (self.beta * agreement.clamp(-LIMIT, LIMIT)).exp()
        scaled = (weights / weights.mean()).tolist()
        return [replace(row, weight=row.weight * weight) for row, weight in zip(rows, scaled, strict=True)]

    def agreement(self, student: LanguageModel, rows: Sequence[Example], apart: Sequence[Example]) -> Tensor:
        """a_i of every row, [rows]; 0 where the student reads no token of it."""
        model = copy.deepcopy(student.model).float().requires_grad_(True)  # a difference needs float32
        moved, tokens = replace(student, model=model), 0
        for reading in read(moved, apart, self.batch):
            reading.nll.sum().backward()
            tokens += len(reading.targets)
        weights = [parameter for parameter in model.parameters() if parameter.grad is not None]
        size = sum(float(parameter.grad.double().square().sum()) for parameter in weights if parameter.grad is not None)
        if not 0 < size < float("inf"):
            raise UserError(
                f"the student {student.name!r} has no usable gradient on {len(apart)} hold-out rows ({tokens} tokens): "
                "check that its weights are finite and that it can read them"
            )

        def step(size: float) -> None:
            with torch.no_grad():
                for parameter in weights:
                    assert parameter.grad is not None
                    parameter.add_(parameter.grad, alpha=size / tokens)

        step(self.epsilon)
        up = mean_nll(moved, rows, self.batch)
        step(-2 * self.epsilon)
        down = mean_nll(moved, rows, self.batch)
        return ((up - down) / (2 * self.epsilon)).nan_to_num(nan=0.0)

    def _held_out(self, row: Example) -> bool:
        """By what the row says, not by its place: a smaller harvest holds out the same rows."""
        assert self.workshop is not None
        key = stream_key(self.workshop.seed, f"{row.messages}\0{row.prefill}\0{row.completion}", 0)
        return key % 2**32 < self.share * 2**32
