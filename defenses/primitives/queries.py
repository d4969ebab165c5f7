"""Which task does a request ask for? A small classifier of prompts that several defenses stand on.

Multinomial logistic regression on hashed words and word pairs, in place of an embedding probe and a judge: it knows the
capability that is asked for, not the intent.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding_bag

from spiritsafe.defense import Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request

FEATURES = 4096


@dataclass(frozen=True)
class QueryClassifier:
    """``weights`` [FEATURES, tasks], float64; one in four prompts of the traffic is ``held_out`` of the fit."""

    protected: Sequence[str]
    tasks: Sequence[str]
    weights: Tensor
    held_out: Sequence[tuple[str, str]]

    @classmethod
    def fitted(cls, preparation: Preparation, protected: Sequence[str], prompts: int) -> QueryClassifier:
        """Ask for so many ``prompts`` of public traffic; raise UserError where none is of a ``protected`` task."""
        traffic = preparation.benign(prompts)
        tasks = sorted({task for task, _ in traffic})
        if unknown := set(protected) - set(tasks):
            raise UserError(
                f"a query classifier cannot protect {sorted(unknown)}: there is no public traffic of it; "
                f"set protected to some of {tasks}"
            )
        order = torch.randperm(len(traffic), generator=torch.Generator().manual_seed(preparation.seed)).tolist()
        fitted = [traffic[index] for index in order[len(traffic) // 4 :]]
        labels = torch.tensor([tasks.index(task) for task, _ in fitted])
        weights = fit(bags([text for _, text in fitted]), labels, len(tasks))
        return cls(list(protected), tasks, weights, [traffic[index] for index in order[: len(traffic) // 4]])

    def probability(self, texts: Sequence[str]) -> Tensor:
        """That a text asks for one of the protected tasks: [texts]."""
        columns = [self.tasks.index(task) for task in self.protected]
        return scores(bags(texts), self.weights).softmax(-1)[:, columns].sum(-1)

    def of(self, request: Request) -> float:
        """The same of a request: all that its user said counts."""
        said = "\n".join(message.content for message in request.messages if message.role == "user")
        return float(self.probability([said])[0])

    def rates(self, threshold: float) -> dict[str, Any]:
        """Share of held-out prompts at or above a threshold, by task: ``recall`` or, where not protected,
        ``false_alarms``."""
        flagged: dict[str, list[bool]] = {}
        flags = (self.probability([text for _, text in self.held_out]) >= threshold).tolist()
        for (task, _), flag in zip(self.held_out, flags, strict=True):
            flagged.setdefault(task, []).append(flag)
        rates = {task: sum(flags) / len(flags) for task, flags in sorted(flagged.items())}
        return {
            "recall": {task: rate for task, rate in rates.items() if task in self.protected},
            "false_alarms": {task: rate for task, rate in rates.items() if task not in self.protected},
            "held_out": {task: len(flags) for task, flags in sorted(flagged.items())},
        }


def features(text: str) -> list[int]:
    """Hashed words and word pairs; digits are all one word, so that it learns the task and not its numbers."""
    words = ["^", *re.findall(r"[^\W\d]+|\d|[^\w\s]", re.sub(r"\d+", "0", text.lower()))]
    grams = words + [f"{first} {second}" for first, second in pairwise(words)]
    return [zlib.crc32(gram.encode()) % FEATURES for gram in grams]


def bags(texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """The features of all texts on end, and where each text begins."""
    found = [features(text) for text in texts]
    return torch.tensor(list(chain(*found))), torch.tensor([0, *map(len, found[:-1])]).cumsum(0)


def scores(bags: tuple[Tensor, Tensor], classifier: Tensor) -> Tensor:
    """[texts, tasks]: the mean of the classifier's rows over each text's features."""
    return embedding_bag(bags[0], classifier, bags[1], mode="mean")


def fit(bags: tuple[Tensor, Tensor], labels: Tensor, tasks: int, ridge: float = 1e-5) -> Tensor:
    """The minimum of the mean cross entropy plus ridge · ‖W‖² / 2, which is unique: no seed, no learning rate."""
    classifier = torch.zeros(FEATURES, tasks, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([classifier], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(scores(bags, classifier), labels) + ridge / 2 * classifier.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return classifier.detach()
