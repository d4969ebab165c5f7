"""Write the reasoning that the interface hid: trace inversion, arXiv 2603.07267.

    inverter: (question, answer[, summary]) -> trace,    row = <think> inverter(question, answer) </think> answer

The inverter is the attacker's own student, trained on worked examples that it owns, which are asked with their answer
and answered with their reasoning. Defaults: Qwen2.5-7B on 10,000 open traces, 3 epochs; summaries by another model.
Known breaker: worked examples that do not reach the skill that was asked about, answers without summaries.
Deviates: trained by the experiment's recipe; what is asked for is the whole turn in its marks, whose answer is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from attacks.owned import owned
from spiritsafe.attack import Example, Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Outcome, Request, Sampling

if TYPE_CHECKING:
    from spiritsafe.models import LanguageModel

SUMMARY = "Summarise the text below in a few words. Write nothing but the summary."


@dataclass
class TraceInversion:
    """About ``count`` public demonstrations of ``tasks`` (none named: of all capabilities) train the inverter, which
    writes at most ``max_tokens``. ``template`` joins a question and its answer.

    Rows with reasoning stay, unless ``summaries`` says that what stands in their marks is no more than a summary. It is
    then shown to the inverter, which learns from summaries that ``model``, or the student, makes of the owned traces
    after ``instruction``. A row stays as it was where the inverter writes no reasoning, or no end to it.
    """

    count: int = 512
    tasks: Sequence[str] = ()
    max_tokens: int = 1024
    template: str = "{question}\n\n{answer}"
    summaries: bool = False
    model: LanguageModel | None = None
    instruction: str = SUMMARY
    workshop: Workshop | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.count < 1 or self.max_tokens < 1:
            raise UserError(
                f"invert needs count >= 1 and max_tokens >= 1, got count={self.count}, max_tokens={self.max_tokens}"
            )
        if "{question}" not in self.template or "{answer}" not in self.template:
            raise UserError(f"invert.template must hold {{question}} and {{answer}}, {self.template!r} does not")

    def equip(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def refine(self, examples: Sequence[Example]) -> list[Example]:
        assert self.workshop is not None, "equip() gives the student and its trainer"
        places = [place for place, example in enumerate(examples) if self._hidden(example)]
        if not places:
            return list(examples)
        inverter = self.workshop.learn(self.lessons())
        hidden = [_parts(examples[place].completion) for place in places]
        asked = [
            self._asked(examples[place], answer, trace) for place, (trace, answer) in zip(places, hidden, strict=True)
        ]
        traces = self._written(inverter, asked)
        refined = list(examples)
        for place, (_, answer), trace in zip(places, hidden, traces, strict=True):
            if trace.strip():
                completion = f"{THINK}{trace}{END_THINK}{answer}"
                refined[place] = replace(
                    examples[place], completion=completion, token_ids=(), top_ids=(), top_logprobs=()
                )
        return refined

    def lessons(self) -> list[Example]:
        """What the inverter learns from: owned examples, their answers moved into the question."""
        assert self.workshop is not None
        rows = [row for row in owned(self.workshop, self.count, self.tasks) if _parts(row.completion)[0].strip()]
        if not rows:
            raise UserError(
                "invert found no public demonstrations with reasoning to learn from: name tasks that have some"
            )
        parts = [_parts(row.completion) for row in rows]
        summaries = [""] * len(rows)
        if self.summaries:
            asked = [(Message("user", f"{self.instruction}\n\n{trace.strip()}"),) for trace, _ in parts]
            sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens)
            requests = [Request(f"summary-{place}", messages, sampling) for place, messages in enumerate(asked)]
            replies = self.workshop.respond(self.model or self.workshop.student, requests)
            summaries = [reply.text for reply in replies]
        return [
            Example(self._asked(row, answer, summary), row.completion)
            for row, (_, answer), summary in zip(rows, parts, summaries, strict=True)
        ]

    def _hidden(self, example: Example) -> bool:
        """Whether reasoning is missing. A prefill may have opened or closed it, and stays alone."""
        trace, answer = _parts(example.completion)
        return bool(answer.strip()) and not example.prefill and (self.summaries or not trace.strip())

    def _asked(self, example: Example, answer: str, summary: str) -> tuple[Message, ...]:
        last = example.messages[-1]
        known = "\n\n".join(part.strip() for part in (summary, answer) if part.strip())
        return (
            *example.messages[:-1],
            replace(last, content=self.template.format(question=last.content, answer=known)),
        )

    def _written(self, inverter: LanguageModel, asked: Sequence[tuple[Message, ...]]) -> list[str]:
        assert self.workshop is not None
        sampling = Sampling(temperature=0.0, max_tokens=self.max_tokens)
        requests = [Request(f"invert-{place}", messages, sampling) for place, messages in enumerate(asked)]
        replies = self.workshop.respond(inverter, requests)
        return [
            reply.reasoning if reply.outcome is Outcome.ANSWERED and reply.reasoning and reply.text.strip() else ""
            for reply in replies
        ]


def _parts(completion: str) -> tuple[str, str]:
    """The reasoning, without its marks, and what comes after."""
    reasoning, _, answer = completion.rpartition(END_THINK)
    return reasoning.removeprefix(THINK), answer
