"""Refuse a protected capability: a small query classifier stands in front of the teacher.

Industry practice (Anthropic reports such a classifier), no published algorithm or default. Breakers: splitting a
task into harmless-looking parts, role or grading reframing, translation. Its price is the refusal of honest
requests that look alike, so it is measured on traffic the classifier was not fitted to. Deviates: multinomial logistic
regression on hashed words and word pairs in place of an embedding probe and a judge; it knows the capability that is
asked for, not the intent.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, embedding_bag

from spiritsafe.account import Account
from spiritsafe.defense import ALLOW, Decision, Defense, Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Request

FEATURES = 4096


@dataclass
class CapabilityRefusal(Defense):
    """Refuse where the tasks in ``protected`` have together at least ``threshold`` of the classifier's probability.

    Accounts of the tiers in ``exempt`` are let through. ``prompts`` of public traffic are asked for, one in four of
    which is held out for ``summary()``.
    """

    protected: Sequence[str] = ("programs", "recipes")
    exempt: Sequence[str] = ()
    threshold: float = 0.5
    prompts: int = 1024
    classifier: Tensor | None = field(default=None, init=False, repr=False)  # [FEATURES, tasks], float64
    tasks: list[str] = field(default_factory=list, init=False)
    measured: dict[str, Any] = field(default_factory=dict, init=False)
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def prepare(self, preparation: Preparation) -> None:
        traffic = preparation.benign(self.prompts)
        self.tasks = sorted({task for task, _ in traffic})
        if unknown := set(self.protected) - set(self.tasks):
            raise UserError(
                f"capability_refusal cannot protect {sorted(unknown)}: there is no public traffic of it; "
                f"set protected to some of {self.tasks}"
            )
        order = torch.randperm(len(traffic), generator=torch.Generator().manual_seed(preparation.seed)).tolist()
        held_out = [traffic[index] for index in order[: len(traffic) // 4]]
        fitted = [traffic[index] for index in order[len(traffic) // 4 :]]
        labels = torch.tensor([self.tasks.index(task) for task, _ in fitted])
        self.classifier = fit(bags([text for _, text in fitted]), labels, len(self.tasks))
        self.measured = self.measure(held_out)

    def protected_probability(self, texts: Sequence[str]) -> Tensor:
        """[texts]."""
        assert self.classifier is not None, "prepare() fits the classifier"
        columns = [self.tasks.index(task) for task in self.protected]
        return scores(bags(texts), self.classifier).softmax(-1)[:, columns].sum(-1)

    def admit(self, request: Request, account: Account) -> Decision:
        if account.tier in self.exempt:
            return ALLOW
        asked = "\n".join(message.content for message in request.messages if message.role == "user")
        if self.protected_probability([asked])[0] < self.threshold:
            return ALLOW
        return Decision(Outcome.REFUSED, f"the tier {account.tier!r} may not use {', '.join(self.protected)}")

    def measure(self, traffic: Sequence[tuple[str, str]]) -> dict[str, Any]:
        """Refusal rates by task: ``recall`` where it is protected, ``false_refusals`` where it is not."""
        refused: dict[str, list[bool]] = {}
        flags = (self.protected_probability([text for _, text in traffic]) >= self.threshold).tolist()
        for (task, _), flag in zip(traffic, flags, strict=True):
            refused.setdefault(task, []).append(flag)
        rates = {task: sum(flags) / len(flags) for task, flags in sorted(refused.items())}
        return {
            "recall": {task: rate for task, rate in rates.items() if task in self.protected},
            "false_refusals": {task: rate for task, rate in rates.items() if task not in self.protected},
            "held_out": {task: len(flags) for task, flags in sorted(refused.items())},
        }

    def summary(self) -> dict[str, Any]:
        return self.measured


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
