"""Take out of the reasoning what the teacher's policy put there: steps that refuse something, and another conversation
begun in chat marks. The adaptive answer to refusal seeding and the policy trap; ours, no paper, no published default.

    reasoning  →  its steps up to the first chat mark, without those that hold a refusal phrase

Costs no query and keeps every row. Breakers: a policy in other words than the phrases, or one that the answer follows
from. Deviates: from the first mark on all goes, since the steps of a strange conversation need hold no mark of their
own. A request that was quoted before its refusal over several steps leaves its first ones behind.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply
from spiritsafe.measures.refusal import OPENING, PHRASES, is_refusal

MARKS = "|".join(
    (
        r"<[|｜][^<>\n]{1,40}[|｜]>",
        r"</?(?:s|bos|eos|begin|end|user|assistant|system|tool)>",
        r"<(?:start|end)_of_turn>",
        r"\[/?INST\]",
    )
)
_BETWEEN = re.compile(r"(?<=[.;!?])(?=\s)|(?<=\n)")


@dataclass(frozen=True)
class StripSteps:
    """``phrases`` are in lower case with contractions written out; ``marks`` is a regular expression of chat marks. A
    reply that lost a step keeps its text only: tokens and log probabilities no longer say what is there."""

    phrases: Sequence[str] = PHRASES
    marks: str = MARKS

    def __post_init__(self) -> None:
        try:
            re.compile(self.marks)
        except re.error as error:
            raise UserError(f"strip_steps' marks {self.marks!r} are no regular expression ({error})") from error

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        return [self._stripped(exchange) for exchange in exchanges]

    def _stripped(self, exchange: Exchange) -> Exchange:
        reply = exchange.reply
        if reply.outcome is not Outcome.ANSWERED or not reply.reasoning:
            return exchange
        reasoning = self.strip(reply.reasoning)
        return exchange if reasoning == reply.reasoning else replace(exchange, reply=_text_only(reply, reasoning))

    def strip(self, reasoning: str) -> str:
        """What is left, within the space that framed it; the same where there is nothing to take."""
        mark = re.search(self.marks, reasoning)
        before = _BETWEEN.split(reasoning[: mark.start()] if mark else reasoning)
        steps = [step for step in before if not self._refuses(step)]
        if mark is None and len(steps) == len(before):
            return reasoning
        body = "".join(steps).strip()
        lead = reasoning[: len(reasoning) - len(reasoning.lstrip())]
        tail = reasoning[len(reasoning.rstrip()) :]
        return f"{lead}{body}{tail}" if body else ""

    def _refuses(self, step: str) -> bool:
        """``is_refusal`` reads an opening, so a long step is read from several places, which overlap."""
        return any(is_refusal(step[start:], self.phrases) for start in range(0, len(step), OPENING // 2))


def _text_only(reply: Reply, reasoning: str) -> Reply:
    return replace(reply, reasoning=reasoning or None, reasoning_tokens=0, token_ids=(), logprobs=None)
