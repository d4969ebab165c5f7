"""Trace rewriting: the reasoning that is served is not the one that was sampled.

``method=model`` is the semantic rewriting of Ma et al., ACL 2026, arXiv 2602.15143: an auxiliary model words a correct
trace so that a reader can follow it and a student learns less from it; the answer stays. ``method=part`` is PART, Ding
et al., arXiv 2510.11545: self-talk is removed, and each sub-conclusion comes before its derivation.

Defaults: the paper's rewriter is gpt-oss-120b at temperature 0.6 with 1024 tokens. Breakers: a clean model told to
simplify; training on answers only; against PART, to derive the steps afresh. Deviates: the instruction is our own, and
neither searched for (OPRO) nor a carrier of a watermark. PART has no public code and rewrites by a model; here it is a
rule: phrases of self-talk go, and every two steps in a row change places.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from defenses.primitives.rewriter import Reworded
from defenses.primitives.sentences import assemble, steps
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request

Method = Literal["part", "model"]
_CHECK = r"let me (?:see|think|(?:double[- ]?|re-?)?check|verify)(?: (?:that|this|it|again|once more|about it))*"
_PAUSED = rf"wait|oh|ah|okay|ok|alright|well|actually|hold on|let's see|{_CHECK}"  # said in earnest without a pause
_SELF_TALK = re.compile(
    rf"\s*(?:(?:{_PAUSED})\s*[,:.!?;…—]+\s*|(?:hm+|okay so|ok so|i think|i guess)\b(?: that\b)?[\s,:.!?;…—]*)+",
    re.I,
)


@dataclass(kw_only=True)
class TraceRewriting(Reworded):
    """``strength`` is the share of replies that is rewritten. ``method=part`` needs no model."""

    method: Method = "part"
    temperature: float = 0.6
    default: ClassVar[str] = (
        "Below is the reasoning by which a problem was solved. Rewrite it for an expert: the same argument with the "
        "same result, in dense and formal technical language, with the steps that such a reader supplies without help "
        "left out. Write nothing but the rewritten reasoning."
    )

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            raise UserError(f"trace_rewriting needs a method in {get_args(Method)}, got {self.method!r}")
        super().__post_init__()

    @property
    def uses_model(self) -> bool:
        return self.method == "model"

    def reworded(self, requests: Sequence[Request], traces: Sequence[str]) -> list[str]:
        return super().reworded(requests, traces) if self.uses_model else [part(trace) for trace in traces]


def part(trace: str) -> str:
    told = [step for step in map(_without_self_talk, steps(trace)) if step.strip()]
    turned = [step for start in range(0, len(told), 2) for step in reversed(told[start : start + 2])]
    return assemble(turned, trace)


def _without_self_talk(step: str) -> str:
    """The step with a capital at its head where it had one."""
    found = _SELF_TALK.match(step)
    if found is None:
        return step
    rest = step[found.end() :]
    return rest[:1].upper() + rest[1:] if step.lstrip()[:1].isupper() else rest
