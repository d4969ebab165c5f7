"""From requests to the rows that answer them: rendering, random streams, and what fits the model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from spiritsafe.errors import UserError
from spiritsafe.exchange import THINK, Request
from spiritsafe.models import LanguageModel
from spiritsafe.randomness import stream_key
from teacher.decoder import context


@dataclass(frozen=True)
class Job:
    """One sample of one request.

    ``tokens`` are what is known of it: a prompt of ``prompt`` tokens, then given completion tokens. The first ``read``
    of them are read at once, the others are fed one by one as if they had been sampled. ``end`` is its greatest length.
    """

    place: int  # of its reply
    request: Request
    tokens: list[int]
    prompt: int
    read: int
    end: int
    stream: int
    risk: float
    opened: bool  # the chat template has opened the reasoning
    problem: str  # why it cannot be answered, if so

    @property
    def discloses(self) -> bool:
        return discloses(self.request)


def discloses(request: Request) -> bool:
    return request.top_logprobs > 0 or request.score is not None


def jobs(
    language_model: LanguageModel,
    seed: int,
    requests: Sequence[Request],
    streams: Sequence[str | None],
    risks: Sequence[float],
) -> Iterator[Job]:
    """One job a sample, a request's samples side by side."""
    places = count()
    limit = context(language_model.model)
    for request, stream, risk in zip(requests, streams, risks, strict=True):
        asked = request.sampling.max_tokens if request.score is None else 0
        if (asked < 1 and request.score is None) or "" in request.sampling.stop:
            raise UserError(f"request {request.id!r} needs sampling.max_tokens of 1 or more and no empty sampling.stop")
        biased = {token for token, _ in request.logit_bias if 0 <= token < language_model.vocabulary}
        if len(biased) < len(request.logit_bias):
            raise UserError(
                f"request {request.id!r} needs distinct token ids in its logit_bias, each from 0 to "
                f"{language_model.vocabulary - 1}"
            )
        prompt = language_model.prompt_ids(request.messages)
        given = language_model.prompt_ids(request.messages, request.prefill)[len(prompt) :] if request.prefill else []
        given += language_model.completion_ids(request.score) if request.score is not None else []
        tokens = prompt + given
        fits = len(prompt) > 0 and asked + len(given) > 0 and len(tokens) + min(asked, 1) <= limit
        for sample in range(request.samples):
            yield Job(
                next(places),
                request,
                tokens,
                len(prompt),
                read=len(prompt) if discloses(request) else len(tokens),
                end=min(len(tokens) + asked, limit),
                stream=stream_key(seed, stream or request.id, sample),
                risk=risk,
                opened=language_model.decode(prompt[-2 * len(THINK) :]).rstrip().endswith(THINK),
                problem=""
                if fits
                else f"the model reads {limit} tokens; the request has {len(tokens)} before an answer",
            )
