"""Continuous batching: requests in, replies out, at most ``batch_size`` rows decoded together.

A row leaves when it ends and a waiting request takes its place. Its tokens depend on the run's seed, its own stream and
its position, and in fp32 on nothing else: neither the batch size nor the order of the requests.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spiritsafe.defense import Defense, overrides
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply, Request, Usage
from spiritsafe.models import LanguageModel
from spiritsafe.randomness import uniforms
from teacher.completion import Completions
from teacher.disclosure import Disclosure
from teacher.draw import draw
from teacher.job import Job, jobs
from teacher.rows import LiveRows, without


class Sampler:
    """Decodes with one teacher, or its substitute, under the `sample_logits` and `disclose` hooks of ``defenses``, in
    their order. What is shown is the distribution that is sampled, before temperature and top-p; a caller's logit
    bias comes after the tilt, so no caller sees or steers what a defense computed from."""

    def __init__(
        self,
        language_model: LanguageModel,
        *,
        seed: int = 0,
        batch_size: int = 256,
        defenses: Sequence[Defense] = (),
    ) -> None:
        if batch_size < 1:
            raise UserError(f"the sampler needs a batch_size of 1 or more, got {batch_size}")
        for defense in defenses:
            language_model = defense.substitute(language_model)
        self.language_model, self.seed, self.batch_size = language_model, seed, batch_size
        self.tilting = [defense for defense in defenses if overrides(defense, "sample_logits")]
        self.disclosing = [defense for defense in defenses if overrides(defense, "disclose")]
        self.completions = Completions(language_model)

    @torch.inference_mode()
    def respond(
        self,
        requests: Sequence[Request],
        *,
        streams: Sequence[str | None] | None = None,
        risks: Sequence[float] | None = None,
        on_tokens: Callable[[int], None] | None = None,
    ) -> list[Reply]:
        """One reply a sample, a request's samples side by side.

        ``streams`` name the requests' random streams where they are not their ids. ``on_tokens`` hears how many tokens
        each step has sampled. A prompt that leaves no room for an answer has the outcome FAILED.
        """
        streams, risks = streams or [None] * len(requests), risks or [0.0] * len(requests)
        todo = list(jobs(self.language_model, self.seed, requests, streams, risks))
        replies = {job.place: _failed(job) for job in todo if job.problem}
        waiting = sorted((job for job in todo if not job.problem), key=lambda job: job.read)
        rows = self._rows(waiting)
        notable = self.completions.notable({stop for job in waiting for stop in job.request.sampling.stop})
        while waiting or rows.jobs:
            free = rows.slots - len(rows.jobs)
            if waiting and free >= min(len(waiting), max(1, rows.slots // 8)):
                rows.admit([waiting.pop() for _ in range(min(free, len(waiting)))])  # the longest prompts first
            self._step(rows)
            if on_tokens:
                on_tokens(int((rows.lengths > rows.known).sum()))
            replies |= self._finished(rows, notable)
        return [replies[place] for place in range(len(todo))]

    def _rows(self, waiting: Sequence[Job]) -> LiveRows:
        slots, device = min(self.batch_size, len(waiting)), self.language_model.device
        disclosure = None
        if shown := [job for job in waiting if job.discloses]:
            k = min(max(job.request.top_logprobs for job in shown), self.language_model.vocabulary)
            disclosure = Disclosure(slots, max(job.end - job.prompt for job in waiting), k, device)
        biases = max((len(job.request.logit_bias) for job in waiting), default=0)
        return LiveRows(slots, max((job.end for job in waiting), default=0), device, disclosure, biases)

    def _step(self, rows: LiveRows) -> None:
        logits = rows.follow(self.language_model.model)
        for defense in self.tilting:
            logits = _usable(defense.sample_logits(logits, rows), logits, defense)
        logits = rows.biased(logits)
        logprobs = self._shown(logits, rows) if rows.disclosure else None
        tokens = rows.given(draw(logits, rows.temperature, rows.top_p, uniforms(rows.streams, rows.generated)))
        rows.append(tokens, logprobs)

    def _shown(self, logits: Tensor, rows: LiveRows) -> Tensor:
        logprobs = logits.log_softmax(-1)
        for defense in self.disclosing:
            logprobs = defense.disclose(logprobs, rows)
        return logprobs

    def _finished(self, rows: LiveRows, notable: Tensor) -> dict[int, Reply]:
        """The replies of the rows that have ended, which leave."""
        replies, finished = {}, []
        candidates = (notable[rows.context(1)[:, 0]] | (rows.lengths >= rows.ends)).nonzero()[:, 0]
        tokens, lengths = rows.tokens[candidates].tolist(), rows.lengths[candidates].tolist()
        for row, known, length in zip(candidates.tolist(), tokens, lengths, strict=True):
            job = rows.jobs[row]
            completion = known[job.prompt : length]
            ending = self.completions.ending(completion, job)
            if ending:
                reply = self.completions.reply(completion, job, ending)
                if rows.disclosure and job.discloses:
                    logprobs = rows.disclosure.cut(row, len(reply.token_ids), job.request.top_logprobs)
                    reply = replace(reply, logprobs=logprobs)
                replies[job.place] = reply
                finished.append(row)
        if finished:
            rows.keep(without(len(rows.jobs), finished))
        return replies


def _failed(job: Job) -> Reply:
    return Reply(Outcome.FAILED, usage=Usage(len(job.tokens)), reason=job.problem)


def _usable(tilted: Tensor, logits: Tensor, defense: Defense) -> Tensor:
    if tilted.shape != logits.shape or not bool(tilted.logsumexp(-1).isfinite().all()):
        raise UserError(
            f"{type(defense).__name__}.sample_logits must return logits of shape {list(logits.shape)} that leave every "
            f"row a token to sample; it returned shape {list(tilted.shape)} with NaN, infinite or no values: "
            "weaken it, or check the weights of its proxy"
        )
    return tilted
