"""Active choice of questions: in rounds, train on what came so far, score the pool, ask what scores highest.

ActiveThief (Pal et al., AAAI 2020, arXiv 1905.09165). Scores:

    entropy         mean over the tokens of the student's own greedy reply of -(Σ_k p log p + r log r), where r is the
                    mass outside the top k, taken as one token
    disagreement    1 - Σ_a (n_a / n)² over the answers a of n samples
    kcenter         greedily the question farthest from all that were asked (Sener and Savarese, ICLR 2018)

The paper asks 30k questions, 30 per cent of its pool. Breakers: detectors of unusual traffic; a defense that is
stronger where the student is unsure.
Deviates: the paper classifies; token entropy and sampled answers stand for the entropy over classes, hashed bags of
words for the student's outputs in k-center. A round is a fixed number of questions with a fixed number of candidates,
so that smaller budgets are prefixes. Later turns of an episode are not scored.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from math import ceil
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from attacks.pool import Pool, targeted
from attacks.wording import answer, bags, question
from spiritsafe.attack import Prompt, Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Reply, Request, Sampling
from spiritsafe.models import LanguageModel
from spiritsafe.task import Task

Scoring = Literal["entropy", "disagreement", "kcenter"]
Respond = Callable[[LanguageModel, Sequence[Request]], list[Reply]]


class Active:
    """The first ``round`` questions come from the plain pool, each later round from the next ``candidates * round`` of
    it: the ``round`` best scored, best first. What was passed over is not met again until the pool begins again.

    ``top`` is the k of the entropy, ``samples`` the n of the disagreement, ``max_tokens`` the length of a scored reply.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        weights: Mapping[str, float],
        seed: int,
        size: int,
        score: Scoring = "entropy",
        round: int = 512,
        candidates: int = 4,
        top: int = 20,
        samples: int = 4,
        max_tokens: int = 64,
    ) -> None:
        if score not in get_args(Scoring):
            raise UserError(f"attack.source.score is {score!r}: use one of {', '.join(get_args(Scoring))}")
        if min(round, candidates, top, max_tokens) < 1 or samples < 2:
            raise UserError("attack.source needs round, candidates, top and max_tokens >= 1, and samples >= 2")
        targeted(tasks, weights, size)  # before the pool is drawn, when it is first needed
        needed = round * (1 + candidates * max(0, ceil(size / round) - 1))
        self._draw = partial(Pool, tasks, weights, seed, needed)
        self._score, self._round, self._candidates = score, round, candidates
        self._top, self._samples, self._max_tokens = top, samples, max_tokens
        self._workshop: Workshop | None = None
        self._heard: list[Exchange] = []
        self._asked: list[str] = []
        self._ready: list[Prompt] | None = None

    @cached_property
    def _pool(self) -> Pool:
        return self._draw()

    def equip(self, workshop: Workshop) -> None:
        self._workshop = workshop

    def propose(self, count: int) -> list[Prompt]:
        """Never beyond the end of a round, since the next round's questions depend on this one's replies."""
        if count < 1:
            return []
        if not self._ready:
            self._ready = self._next_round(first=self._ready is None)
        proposed, self._ready = self._ready[:count], self._ready[count:]
        self._asked += [question(prompt.item.messages) for prompt in proposed]
        return proposed

    def observe(self, exchanges: Sequence[Exchange]) -> None:
        self._heard += exchanges

    def _next_round(self, first: bool) -> list[Prompt]:
        if first:
            return self._pool.propose(self._round)
        candidates = self._pool.propose(self._round * self._candidates)
        if self._score == "kcenter":
            texts = [question(prompt.item.messages) for prompt in candidates]
            best = farthest(bags(texts), bags(self._asked), self._round)
        else:
            best = np.argsort(-self._scores(candidates), kind="stable")[: self._round].tolist()
        return [candidates[place] for place in best]

    def _scores(self, candidates: Sequence[Prompt]) -> NDArray[np.float64]:
        if self._workshop is None:
            raise UserError(
                f"score={self._score} needs the attacker's student, which only an experiment brings: use score=kcenter"
            )
        rows = self._workshop.examples(self._heard)
        student = self._workshop.learn(rows) if rows else self._workshop.student
        scored = self._entropies if self._score == "entropy" else self._disagreements
        return np.array(scored(student, self._workshop.respond, candidates))

    def _entropies(self, student: LanguageModel, respond: Respond, candidates: Sequence[Prompt]) -> list[float]:
        sampling = Sampling(temperature=0.0, max_tokens=self._max_tokens)
        top = min(self._top, student.vocabulary)
        requests = [
            Request(f"{prompt.item.id}/entropy", prompt.item.messages, sampling, top_logprobs=top)
            for prompt in candidates
        ]
        return [entropy(reply) for reply in respond(student, requests)]

    def _disagreements(self, student: LanguageModel, respond: Respond, candidates: Sequence[Prompt]) -> list[float]:
        sampling = Sampling(max_tokens=self._max_tokens)
        requests = [
            Request(f"{prompt.item.id}/disagreement", prompt.item.messages, sampling, samples=self._samples)
            for prompt in candidates
        ]
        answers = [answer(reply) for reply in respond(student, requests)]
        return [disagreement(answers[at : at + self._samples]) for at in range(0, len(answers), self._samples)]


def entropy(reply: Reply) -> float:
    """Mean token entropy in nats, as far as the disclosed top k tell; 0 for a reply that discloses none."""
    if reply.logprobs is None or not reply.logprobs.values:
        return 0.0
    logprobs = np.array(reply.logprobs.values, np.float64)
    shown = np.exp(logprobs)
    rest = np.clip(1.0 - shown.sum(-1), 0.0, 1.0)
    inside = np.where(shown > 0, shown * np.where(shown > 0, logprobs, 0.0), 0.0).sum(-1)
    outside = rest * np.log(np.where(rest > 0, rest, 1.0))
    return float(-(inside + outside).mean())


def disagreement(answers: Sequence[str]) -> float:
    """The chance that two draws from ``answers`` differ."""
    _, counts = np.unique(np.array(answers), return_counts=True)
    return float(1.0 - ((counts / len(answers)) ** 2).sum())


def farthest(points: NDArray[np.float32], centres: NDArray[np.float32], count: int) -> list[int]:
    """Greedy k-center: each choice is the point whose nearest centre, earlier choices included, is farthest (squared
    Euclidean distance of unit vectors, ties to the earlier point)."""
    distance = np.full(len(points), np.inf)
    for start in range(0, len(centres), 512):
        distance = np.minimum(distance, _squared(points, centres[start : start + 512]).min(1))
    chosen: list[int] = []
    for _ in range(min(count, len(points))):
        best = int(np.argmax(distance))
        chosen.append(best)
        distance = np.minimum(distance, _squared(points, points[best : best + 1])[:, 0])
        distance[chosen] = -np.inf
    return chosen


def _squared(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T).astype(np.float32)
