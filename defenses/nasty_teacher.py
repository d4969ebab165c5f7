"""Nasty teacher: accurate, and as far from its former self as it can be where nobody looks at the first token.
Ma et al., ICLR 2021, arXiv 2105.07381 (self-undermining knowledge distillation).

    L = CE(f_T, y) − ω τ² KL( softmax(f_T / τ) ‖ softmax(f_A / τ) ),    f_A a normally trained network, frozen

Published for images: τ = 4 and ω = .04 (CIFAR-10), τ = 20 and ω = .005 (CIFAR-100). Breakers: learning from text,
since the first token is kept; HTC and SCM (2210.11728), skeptical students.
Deviates: (1) a language model: y are its own traces, means are over completion tokens, f_A is the teacher itself and
f_T starts there, not anew. (2) The KL has no upper bound: it rests while the cross entropy is ``bound`` above the
teacher's. (3) The strength scales the change of the weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from defenses.primitives.retrained import Repelled, divergence, trainable, weights
from spiritsafe.defense import Preparation


@dataclass(kw_only=True)
class NastyTeacher(Repelled):
    """``repulsion`` is ω, ``temperature`` τ."""

    repulsion: float = 0.04
    temperature: float = 4.0

    def train(self, preparation: Preparation) -> dict[str, Tensor]:
        teacher = preparation.teacher
        lessons = self.lessons(preparation)
        model = trainable(teacher.model)

        def loss(rows: list[int]) -> Tensor:
            lesson = lessons.lesson(rows)
            with torch.no_grad():
                original = lesson.at_targets(teacher.model(**lesson.inputs).logits).float()
            logits = lesson.at_targets(model(**lesson.inputs).logits)
            return self.loss(logits, lesson.targets, original)

        self.descend(list(model.parameters()), loss, len(lessons), preparation.seed)
        return weights(model)

    def loss(self, logits: Tensor, labels: Tensor, original: Tensor) -> Tensor:
        """Of tokens: [tokens, vocabulary] of both models and [tokens]."""
        fit, before = (nn.functional.cross_entropy(each, labels) for each in (logits, original))
        push = divergence(logits, original, self.temperature).mean()
        return self.repelled(fit, before, self.repulsion * self.temperature**2 * push)
