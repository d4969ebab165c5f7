"""UNDO: a capability that is unlearned, shaken loose and distilled away before anything is served.
Lee, Foote, Infanger et al., NeurIPS 2025, arXiv 2506.06278.

    1. unlearn    ½ CE(retained) + ½ F(forgotten),  F = KL(uniform ‖ p) (MaxEnt) or −CE (gradient difference)
    2. noise      θ ← (1 − α) θ_unlearned + α β N,  N Xavier-uniform for matrices, 0 for vectors
    3. distil     KL(p_unlearned ‖ p_θ) on what is retained

Published: α = .25, β = 0 (Gemma-2-2B); α = .6, β = .1 (small models of the authors'). Breaker: relearning from a few
hundred examples.
Deviates: (1) all three steps learn from completions of the teacher, prompts masked, and step 3 from the retained tasks
alone, for a fixed number of steps. (2) −CE has no lower bound: a token counts until it is as unlikely as under the
uniform distribution. (3) The strength scales the change of the weights, so less than 1 remembers; utility is measured
on the forgotten tasks too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from defenses.primitives.lessons import Lesson, Lessons
from defenses.primitives.retrained import Retrained, divergence, trainable, weights
from spiritsafe.defense import Preparation
from spiritsafe.errors import UserError

Method = Literal["maxent", "gradient_difference"]


@dataclass(kw_only=True)
class Undo(Retrained):
    """Forget the tasks in ``forget``; keep those in ``retain`` (null: all others with public traffic; refusals are kept
    where their task is named). ``alpha=0`` serves the unlearned model, ``alpha=beta=1`` begins step 3 at random.
    """

    forget: Sequence[str] = ("programs",)
    retain: Sequence[str] | None = None
    method: Method = "maxent"
    alpha: float = 0.25
    beta: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method not in get_args(Method) or not (0 <= self.alpha <= 1 and 0 <= self.beta <= 1):
            raise UserError(
                f"undo needs method in {get_args(Method)}, alpha and beta in [0, 1], got method={self.method!r}, "
                f"alpha={self.alpha}, beta={self.beta}"
            )
        if not self.forget or set(self.forget) & set(self.retain or ()):
            raise UserError(
                f"undo needs tasks in forget, and none of them in retain, got forget={list(self.forget)}, "
                f"retain={self.retain}"
            )

    def train(self, preparation: Preparation) -> dict[str, Tensor]:
        teacher = preparation.teacher
        forget = Lessons(teacher, preparation.traces(self.traces, list(self.forget)))
        retain = Lessons(teacher, preparation.traces(self.traces, self.retained(preparation)))
        model = trainable(teacher.model)
        self.unlearn(model, forget, retain, preparation.seed)
        if self.alpha == 0:
            return weights(model)
        student = trainable(model)
        shake(student, self.alpha, self.beta, preparation.seed)
        self.distil(student, model.requires_grad_(False), retain, preparation.seed)
        return weights(student)

    def retained(self, preparation: Preparation) -> list[str]:
        if self.retain is not None:
            return list(self.retain)
        names = dict.fromkeys(task for task, _ in preparation.benign(1))
        if kept := [name for name in names if name not in self.forget]:
            return kept
        raise UserError("undo would forget every task with public traffic: name the tasks to keep in retain=[...]")

    def unlearn(self, model: nn.Module, forget: Lessons, retain: Lessons, seed: int) -> None:
        def loss(rows: list[int]) -> Tensor:
            kept, lost = (lessons.lesson([row % len(lessons) for row in rows]) for lessons in (retain, forget))
            fit = nn.functional.cross_entropy(_logits(model, kept), kept.targets)
            return (fit + self.forgotten(_logits(model, lost), lost.targets)) / 2

        self.descend(list(model.parameters()), loss, max(len(forget), len(retain)), seed)

    def forgotten(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.method == "maxent":
            return divergence(torch.zeros_like(logits), logits).mean()
        return (
            -nn.functional.cross_entropy(logits, labels, reduction="none").clamp(max=math.log(logits.shape[-1])).mean()
        )

    def distil(self, student: nn.Module, unlearned: nn.Module, retain: Lessons, seed: int) -> None:
        def loss(rows: list[int]) -> Tensor:
            lesson = retain.lesson(rows)
            with torch.no_grad():
                target = _logits(unlearned, lesson)
            return divergence(target, _logits(student, lesson)).mean()

        self.descend(list(student.parameters()), loss, len(retain), seed)


@torch.no_grad()
def shake(model: nn.Module, alpha: float, beta: float, seed: int) -> None:
    """Step 2, in place. Drawn on the CPU, so that every device is shaken alike."""
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        noise = torch.zeros(weight.shape)
        if weight.dim() > 1:
            nn.init.xavier_uniform_(noise, generator=generator)
        weight.copy_((1 - alpha) * weight + alpha * beta * noise.to(weight.device))


def _logits(model: nn.Module, lesson: Lesson) -> Tensor:
    return lesson.at_targets(model(**lesson.inputs).logits).float()
