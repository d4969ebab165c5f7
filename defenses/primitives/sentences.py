"""Reasoning as a list of steps, and replies whose reasoning is worded anew.

A step ends at a full stop, semicolon, exclamation or question mark that whitespace follows, or at the end of a line.
The whitespace stays with it, so the steps of a trace join to it again. Decimal points do not end a step.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import torch

from spiritsafe.exchange import Outcome, Reply, Request
from spiritsafe.randomness import stream_key, uniforms

_STEP = re.compile(r"\s*.+?(?:[.;!?](?=\s|\Z)|\n|\Z)\s*", re.S)


def steps(trace: str) -> list[str]:
    """``"".join(steps(trace)) == trace``."""
    return _STEP.findall(trace) if trace.strip() else [trace] * bool(trace)


def assemble(chosen: Sequence[str], trace: str) -> str:
    """Steps in another order or number, within the whitespace that framed ``trace``; of none, the empty text."""
    body = "".join(step.lstrip() if step[-1:].isspace() else step.lstrip() + " " for step in chosen).rstrip()
    if not body:
        return ""
    return trace[: len(trace) - len(trace.lstrip())] + body + trace[len(trace.rstrip()) :]


def reasons(request: Request, reply: Reply) -> bool:
    """Whether there is reasoning of the teacher's own to change; a completion that was sent to be scored is not."""
    return reply.outcome is Outcome.ANSWERED and bool(reply.reasoning and reply.reasoning.strip()) and not request.score


def with_reasoning(reply: Reply, reasoning: str) -> Reply:
    """The reply with another trace and the same answer. Its tokens no longer say what is shown, so they go; the same
    object where the trace is the same."""
    if reasoning == reply.reasoning:
        return reply
    if not reasoning:
        return reply.without_reasoning()
    return replace(reply, reasoning=reasoning, reasoning_tokens=0, token_ids=(), logprobs=None)


def drawn(request: Request, share: float, key: int) -> bool:
    """Whether a request is among a ``share`` of all of them that depends on nothing but its id and the key."""
    stream = torch.tensor([stream_key(key, request.id, 0)])
    return float(uniforms(stream, torch.zeros(1, dtype=torch.long))) < share
