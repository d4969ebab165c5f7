"""A small classifier of refusals: logistic regression over hashed word n-grams of a reply's opening.

It learns how these models decline, which no list of phrases knows, from labelled outputs; it never sees the request.
Kept as JSON. Calibrate it on other outputs than those it was trained on.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from spiritsafe.errors import UserError

DIMENSIONS, WORDS, NGRAMS = 4096, 64, 2
ITERATIONS = 600
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Weights:
    """``weights`` [dimensions]; ``trained_on`` are checksums of the texts it has seen."""

    weights: list[float]
    bias: float
    trained_on: list[int]

    def logits(self, texts: Sequence[str]) -> Floats:
        return np.asarray(features(texts, len(self.weights)) @ np.asarray(self.weights) + self.bias)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")


def features(texts: Sequence[str], dimensions: int = DIMENSIONS) -> Floats:
    """[texts, dimensions]: which n-grams of up to two words open each text, as a vector of length 1."""
    found = np.zeros((len(texts), dimensions))
    for row, text in enumerate(texts):
        words = ["^", *re.findall(r"\w+|[^\w\s]", text.lower().replace("’", "'"))[:WORDS]]
        for n in range(1, NGRAMS + 1):
            for start in range(len(words) - n + 1):
                found[row, crc32(" ".join(words[start : start + n]).encode()) % dimensions] = 1
    return np.asarray(found / np.maximum(1, np.linalg.norm(found, axis=1, keepdims=True)))


def trained(texts: Sequence[str], refused: Sequence[bool], penalty: float = 1e-3) -> Weights:
    """Weights that minimise the mean log loss plus ``penalty`` / 2 |w|², by Nesterov's accelerated gradient: the
    features have length 1, so the step is known and the result exact and deterministic."""
    y = np.asarray(refused, float)
    if not 0 < y.sum() < len(y):
        raise UserError("a classifier needs labelled outputs of both kinds, refusals and others")
    x = np.concatenate([features(texts), np.ones((len(texts), 1))], 1)
    penalised = np.append(np.full(DIMENSIONS, penalty), 1e-6)
    curvature = 0.5 + penalty
    momentum = (np.sqrt(curvature) - np.sqrt(penalty)) / (np.sqrt(curvature) + np.sqrt(penalty))
    weights = ahead = np.zeros(x.shape[1])
    for _ in range(ITERATIONS):
        gradient = x.T @ (1 / (1 + np.exp(-(x @ ahead))) - y) / len(y) + penalised * ahead
        step = ahead - gradient / curvature
        weights, ahead = step, step + momentum * (step - weights)
    return Weights(weights[:-1].tolist(), float(weights[-1]), sorted({crc32(text.encode()) for text in texts}))


def held_out(texts: Sequence[str], refused: Sequence[bool], folds: int = 5) -> list[bool]:
    """What a classifier says of each text that was trained without it and without any text equal to it."""
    fold = np.array([crc32(text.encode()) % folds for text in texts])
    found = np.zeros(len(texts), bool)
    for left in sorted(set(fold.tolist())):
        kept = np.flatnonzero(fold != left).tolist()
        weights = trained([texts[i] for i in kept], [refused[i] for i in kept])
        rest = np.flatnonzero(fold == left).tolist()
        found[rest] = weights.logits([texts[i] for i in rest]) > 0
    return [bool(each) for each in found]


@dataclass
class Classifier:
    """A `Scorer`. ``path`` is what ``python -m scripts.refusals train`` wrote; a reply refuses where its probability
    exceeds ``threshold``."""

    path: str
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise UserError(f"the threshold of a refusal classifier lies between 0 and 1, not at {self.threshold}")
        self.weights  # noqa: B018 - a wrong path is told before hours are spent

    @cached_property
    def weights(self) -> Weights:
        try:
            return Weights(**json.loads(Path(self.path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"there is no refusal classifier in {self.path!r} ({error}): make one from labelled outputs with "
                "python -m scripts.refusals train, and give its file as the scorer's path"
            ) from error

    def refused(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        logits = self.weights.logits([reply for _, reply in pairs])
        return [bool(logit > np.log(self.threshold / (1 - self.threshold))) for logit in logits]

    def has_seen(self, texts: Sequence[str]) -> float:
        """The share of different texts that it was trained on."""
        different = {crc32(text.encode()) for text in texts}
        return len(different & set(self.weights.trained_on)) / max(1, len(different))
