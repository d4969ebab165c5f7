"""Summarised reasoning: show so many tokens of the trace in place of all of it. Industry default; the disclosure levels
between full and none whose far end, the answer alone, DistillGuard measures (arXiv 2603.07835).

    show s ⊂ trace with |s| <= tokens

Defaults: none is published. Breakers: trace inversion (2603.07267) rebuilds a trace from problem, answer and summary;
EchoCoT (2608.20055) talks the model into repeating it in the open. Deviates: by default a rule picks steps of the trace
itself, since the models of the reference world cannot follow an instruction. ``method=model`` asks a local model, and
takes the rule where that writes nothing, or more than it may.
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from defenses.primitives.rewriter import Rewriter, instructed
from defenses.primitives.sentences import assemble, reasons, steps, with_reasoning
from spiritsafe.defense import Cost, Defense, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Reply, Request
from spiritsafe.models import LanguageModel

log = logging.getLogger(__name__)

Method = Literal["rule", "model"]
Keep = Literal["first", "last", "informative"]
INSTRUCTION = (
    "Summarise the reasoning below in at most {tokens} tokens, for a reader who wants to know how the problem was "
    "approached. Leave out the working. Write nothing but the summary."
)


@dataclass
class Summary(Defense):
    """``tokens`` are the teacher's, without the marks; 0 shows the answer alone. A trace that fits is shown as it is.

    The rule takes whole steps until the next would not fit: the ``first``, the ``last``, or those with the most words
    that neither the request nor an earlier step has said. ``proxy`` is the model that summarises.
    """

    tokens: int = 8
    method: Method = "rule"
    keep: Keep = "first"
    proxy: LanguageModel | None = None
    instruction: str = INSTRUCTION
    batch: int = 16
    rewriter: Rewriter | None = field(default=None, init=False, repr=False)
    teacher: LanguageModel | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.tokens < 0 or self.method not in get_args(Method) or self.keep not in get_args(Keep):
            raise UserError(
                f"summary needs tokens >= 0, method in {get_args(Method)} and keep in {get_args(Keep)}, got "
                f"tokens={self.tokens}, method={self.method!r}, keep={self.keep!r}"
            )
        if self.method == "model" and self.tokens:
            instruction = self.instruction.replace("{tokens}", str(self.tokens))
            model = instructed("summary with method=model", self.proxy)
            # Its own tokens may be shorter than the teacher's; what is too long by the teacher's is not shown.
            self.rewriter = Rewriter(model, instruction, 2 * self.tokens + 1, batch=self.batch)

    def prepare(self, preparation: Preparation) -> None:
        self.teacher = preparation.teacher
        if self.proxy is not None:
            self.proxy.model.to(preparation.teacher.device)

    def rewrite_replies(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        shown = list(replies)
        places = [
            place
            for place, (request, reply) in enumerate(zip(requests, replies, strict=True))
            if reasons(request, reply) and not self._fits(reply.reasoning or "")
        ]
        traces = [replies[place].reasoning or "" for place in places]
        names = [requests[place].id for place in places]
        written = self.rewriter(traces, names) if self.rewriter and places else [""] * len(places)
        summaries = [assemble([text], trace) for text, trace in zip(written, traces, strict=True)]
        usable = [bool(summary) and self._fits(summary) for summary in summaries]
        for place, trace, summary, use in zip(places, traces, summaries, usable, strict=True):
            shown[place] = with_reasoning(replies[place], summary if use else self._by_rule(requests[place], trace))
        if self.rewriter:
            log.info("summary: %d of %d are the model's, the others the rule's", sum(usable), len(places))
        return shown

    def _fits(self, text: str) -> bool:
        assert self.teacher is not None, "prepare() knows the teacher's tokens"
        return len(self.teacher.completion_ids(text)) - len(self.teacher.end_ids[:1]) <= self.tokens

    def _by_rule(self, request: Request, trace: str) -> str:
        parts, chosen, summary = steps(trace), set[int](), ""
        for place in self._ranked(request, parts):
            chosen.add(place)
            longer = assemble([parts[index] for index in sorted(chosen)], trace)
            if not self._fits(longer):
                break
            summary = longer
        return summary

    def _ranked(self, request: Request, parts: Sequence[str]) -> list[int]:
        order = list(range(len(parts)))
        if self.keep == "informative":
            new = list(_new_words(" ".join(message.content for message in request.messages), parts))
            return sorted(order, key=lambda place: -new[place])
        return order if self.keep == "first" else order[::-1]

    def cost(self) -> Cost:
        return Cost(tokens=self.rewriter.tokens if self.rewriter else 0)


def _new_words(known: str, parts: Sequence[str]) -> Iterator[int]:
    """How many words of each part are not known before it."""
    seen = set(known.lower().split())
    for part in parts:
        words = set(part.lower().split())
        yield len(words - seen)
        seen |= words
