"""Defenses that answer with retrained weights: training happens once, its distance from the teacher is the strength.

    θ = θ_T + s (θ_trained − θ_T)

s = 0 is the teacher and s = 1 what the papers serve; what lies between (or beyond) makes any two of them comparable at
equal utility. That is a deviation of ours from all of them.
"""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from defenses.primitives.calibrated import Calibrated
from defenses.primitives.directional import norm
from defenses.primitives.lessons import Lessons
from spiritsafe.defense import Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Retrained(Calibrated):
    """``strength`` is s. Trained on so many ``traces`` of the teacher, ``batch`` of them in each of the ``steps``.

    All samplers of one defense share one copy of the weights, set to the strength when a sampler is made.
    """

    traces: int = 1024
    steps: int = 300
    batch: int = 32
    learning_rate: float = 1e-3
    teacher: LanguageModel | None = field(default=None, init=False, repr=False)
    trained: dict[str, Tensor] = field(default_factory=dict, init=False, repr=False)
    served: tuple[PreTrainedModel, PreTrainedModel] | None = field(default=None, init=False, repr=False)
    interval: ClassVar[tuple[float, float]] = (0.03, 3.0)
    needs: ClassVar[Needs] = Needs.TRAINING

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.traces, self.steps, self.batch) < 1 or not self.learning_rate > 0:
            raise UserError(
                f"{type(self).__name__} needs traces, steps and batch of 1 or more and learning_rate > 0, got "
                f"traces={self.traces}, steps={self.steps}, batch={self.batch}, learning_rate={self.learning_rate}"
            )

    def train(self, preparation: Preparation) -> dict[str, Tensor]:
        """The weights that changed, by their names in ``copied(teacher)``."""
        raise NotImplementedError

    def copied(self, model: PreTrainedModel) -> PreTrainedModel:
        return copy.deepcopy(model)

    def descend(
        self, parameters: Sequence[nn.Parameter], loss: Callable[[list[int]], Tensor], rows: int, seed: int
    ) -> None:
        """AdamW on ``loss`` of some of so many ``rows`` at a time, in an order that the seed sets. The rate falls to
        zero along a line, gradients are cut at norm 1."""
        optimizer = torch.optim.AdamW(parameters, self.learning_rate, betas=(0.9, 0.95), weight_decay=0.0)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / self.steps)
        generator = torch.Generator().manual_seed(seed)
        waiting: list[int] = []
        for step in range(self.steps):
            while len(waiting) < self.batch:
                waiting += torch.randperm(rows, generator=generator).tolist()
            chosen, waiting = waiting[: self.batch], waiting[self.batch :]
            with torch.enable_grad():
                value = loss(chosen)
                optimizer.zero_grad()
                value.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            if step == 0 or (step + 1) % max(1, self.steps // 5) == 0:
                log.info("%s: loss %.4f in step %d of %d", type(self).__name__, value.item(), step + 1, self.steps)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        if not self.active:
            return
        self.teacher = preparation.teacher
        self.trained = preparation.kept(type(self).__name__, lambda: self.train(preparation))
        self.calibrate(preparation)

    def substitute(self, teacher: LanguageModel) -> LanguageModel:
        if not self.active:
            return teacher
        assert self.teacher is not None, "prepare() trains"
        if self.served is None or self.served[0] is not teacher.model:
            self.served = teacher.model, self.copied(teacher.model)
        model = self.served[1]
        original, given = (
            dict(each.named_parameters(remove_duplicate=False)) for each in (self.teacher.model, teacher.model)
        )
        first = {weight: name for name, weight in reversed(original.items())}  # tied weights are kept under one name
        with torch.no_grad():
            for name, weight in model.named_parameters():
                trained = self.trained.get(name, self.trained.get(first[original[name]]))
                if trained is not None:
                    moved = trained.to(weight.device).float() - original[name].float()
                    weight.copy_(given[name].float() + self.set_strength * moved)
        mark = f"{teacher.digest} {type(self).__name__} {self.set_strength!r} {self.distance()!r}"
        digest = hashlib.sha256(mark.encode()).hexdigest()[:16]
        return replace(teacher, model=model, name=f"{teacher.name} ({type(self).__name__})", digest=digest)

    def distance(self) -> float:
        """How far training went, as a share of the norm of the weights that it changed."""
        assert self.teacher is not None, "prepare() trains"
        original = dict(self.teacher.model.named_parameters(remove_duplicate=False))
        before = {name: original[name].float().cpu() for name in self.trained}
        return norm({name: self.trained[name].float().cpu() - before[name] for name in before}) / norm(before)

    def summary(self) -> dict[str, Any]:
        return {**super().summary(), **({"relative_distance": self.distance()} if self.trained else {})}


@dataclass(kw_only=True)
class Repelled(Retrained):
    """Training that pulls towards the traces and pushes away from another model, without end if it may: the push rests
    while the cross entropy of a step is more than ``bound`` nats a token above the teacher's own.

    ``repulsion`` weighs the push, ``temperature`` softens both distributions in it. ``tasks`` are those trained on
    (null: the capability tasks): what is not among them may be lost, refusals first.
    """

    repulsion: float
    temperature: float
    tasks: Sequence[str] | None = None
    bound: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.repulsion > 0 and self.temperature > 0 and self.bound > 0):
            raise UserError(
                f"{type(self).__name__} needs repulsion, temperature and bound above 0, got "
                f"repulsion={self.repulsion}, temperature={self.temperature}, bound={self.bound}; "
                "strength=0 turns it off"
            )

    def lessons(self, preparation: Preparation) -> Lessons:
        tasks = None if self.tasks is None else list(self.tasks)
        return Lessons(preparation.teacher, preparation.traces(self.traces, tasks))

    def repelled(self, fit: Tensor, before: Tensor, push: Tensor) -> Tensor:
        """``fit`` is the cross entropy, ``before`` the teacher's."""
        return fit - push if bool(fit <= before + self.bound) else fit


def divergence(logits: Tensor, others: Tensor, temperature: float = 1.0) -> Tensor:
    """KL(softmax(logits / T) ‖ softmax(others / T)), [..., vocabulary] -> [...]."""
    ours, theirs = ((each.float() / temperature).log_softmax(-1) for each in (logits, others))
    return (ours.exp() * (ours - theirs)).sum(-1)


def trainable(model: PreTrainedModel) -> PreTrainedModel:
    """A copy to train, in float32."""
    return copy.deepcopy(model).float().requires_grad_(True)


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in model.named_parameters()}
