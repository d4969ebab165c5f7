"""DOGe: an output head whose reasoning fits the teacher's answers and no proxy's expectations.
Li et al., arXiv 2505.19504.

    L = CE(y, p_T) − λ Σ_t m_t KL( softmax(z_T / T) ‖ softmax(z_proxy / T) ),    m_t = 1 in the reasoning, else 0

Published: T = 2, λ = 3e-5 best of 1e-5 to 1e-3, learning rate 5e-5, two epochs; the body is frozen. Breakers: a
perplexity filter, a paraphrase by a clean model, a correctness filter.
Deviates: (1) both terms are means over the completion tokens, so that λ does not depend on the length of a trace; the
paper's is a sum beside a mean, and 3e-5 over a thousand tokens is our 0.03. (2) The KL has no upper bound: it
rests while the cross entropy is ``bound`` above the teacher's. (3) The marks around the reasoning are not pushed.
(4) One proxy, no projector. (5) The strength scales the change of the head.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from defenses.primitives.directional import check_vocabularies
from defenses.primitives.lessons import Lessons
from defenses.primitives.retrained import Repelled, divergence
from spiritsafe.defense import Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class Doge(Repelled):
    """``repulsion`` is λ, ``temperature`` T."""

    proxy: LanguageModel
    repulsion: float = 0.03
    temperature: float = 2.0
    needs: ClassVar[Needs] = Needs.TRAINING | Needs.PROXY

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def copied(self, model: PreTrainedModel) -> PreTrainedModel:
        """Its head is its own."""
        copied = copy.deepcopy(model)
        head = copied.get_output_embeddings()
        if head.weight is copied.get_input_embeddings().weight:
            head.weight = nn.Parameter(head.weight.detach().clone(), requires_grad=False)
            copied.config.tie_word_embeddings = False
        return copied

    def train(self, preparation: Preparation) -> dict[str, Tensor]:
        teacher = preparation.teacher
        lessons = self.lessons(preparation)
        if not any(bool(mask.any()) for mask in lessons.reasoning):
            raise UserError(
                f"doge found no reasoning in {len(lessons)} traces of {teacher.name!r}: it needs a teacher that writes "
                "<think>...</think> before it answers"
            )
        self.proxy.model.to(teacher.device)
        ours, theirs = (head_inputs(model, lessons, self.batch) for model in (teacher, self.proxy))
        original, proxy = (model.model.get_output_embeddings() for model in (teacher, self.proxy))
        name, head = _head(self.copied(teacher.model))
        head.float().requires_grad_(True)
        targets = [torch.tensor(ids) for ids in lessons.completions]

        def loss(rows: list[int]) -> Tensor:
            states, others, labels, reasoning = (
                torch.cat([each[row] for row in rows]).to(teacher.device)
                for each in (ours, theirs, targets, lessons.reasoning)
            )
            with torch.no_grad():
                before = nn.functional.cross_entropy(original(states).float(), labels)
                proxied = proxy(others)
            logits = head(states.float())
            return self.loss(logits, labels, before, proxied, reasoning)

        self.descend(list(head.parameters()), loss, len(lessons), preparation.seed)
        return {f"{name}.{key}": parameter for key, parameter in head.named_parameters()}

    def loss(self, logits: Tensor, labels: Tensor, before: Tensor, proxied: Tensor, reasoning: Tensor) -> Tensor:
        """Of tokens: [tokens, vocabulary] of teacher and proxy, [tokens] of the rest."""
        fit = nn.functional.cross_entropy(logits, labels)
        push = (divergence(logits, proxied, self.temperature) * reasoning).mean()
        return self.repelled(fit, before, self.repulsion * push)


@torch.no_grad()
def head_inputs(language_model: LanguageModel, lessons: Lessons, batch: int) -> list[Tensor]:
    """What the output head reads where it predicts a completion: [tokens, hidden] a trace, on the CPU. A vocabulary is
    far wider, so the logits are not kept."""
    _, head = _head(language_model.model)
    seen: list[Tensor] = []
    found: list[Tensor] = []
    handle = head.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        for start in range(0, len(lessons), batch):
            rows = range(start, min(start + batch, len(lessons)))
            lesson = lessons.lesson(rows)
            logits = language_model.model(**lesson.inputs).logits
            states = seen.pop()
            if not torch.allclose(nn.functional.linear(states, head.weight, head.bias), logits, atol=1e-2, rtol=1e-2):
                raise UserError(
                    f"doge trains the output head alone, but {language_model.name!r} changes what its head puts out "
                    "(scaled or capped logits): choose another teacher or proxy"
                )
            found += lesson.at_targets(states).cpu().split([len(lessons.completions[row]) for row in rows])
    finally:
        handle.remove()
    return found


def _head(model: PreTrainedModel) -> tuple[str, nn.Linear]:
    head = model.get_output_embeddings()
    return next((name, module) for name, module in model.named_modules() if module is head)
