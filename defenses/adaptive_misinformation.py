"""Adaptive misinformation: suspicious queries are shown the probabilities of a model that knows less. Kariyappa and
Qureshi, CVPR 2020, arXiv 1911.07100.

    y' = (1 − α) f + α f̂,    α = σ(ν (risk − τ))

Defaults: ν = 1000 in the code of gradient redirection (10000 in the authors'); τ is swept, and depends on the score.
Breakers: queries that look like benign traffic; text, which is always f's. Deviates: (1) out-of-distribution is
replaced by what a query classifier says of the request, or by the account's risk where that is larger, in place of
1 − max f; (2) f̂ is a weaker model that reads the same rows, not one trained to be wrong; (3) hence no outlier exposure
of f. Rows whose risk is far below τ are shown bit for bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from defenses.primitives.directional import check_vocabularies
from defenses.primitives.queries import QueryClassifier
from spiritsafe.defense import Cost, Defense, Needs, Preparation, Rows
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request
from spiritsafe.models import LanguageModel


@dataclass
class AdaptiveMisinformation(Defense):
    """``proxy`` is f̂, ``slope`` ν, ``threshold`` τ. A request's risk is the probability that it asks for one of the
    tasks in ``protected``; the classifier is fitted on so many ``prompts`` of public traffic."""

    proxy: LanguageModel
    protected: Sequence[str] = ("programs", "recipes")
    slope: float = 1000.0
    threshold: float = 0.5
    prompts: int = 1024
    classifier: QueryClassifier | None = field(default=None, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.PROXY | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if not (self.slope > 0 and 0 <= self.threshold <= 1):
            raise UserError(
                "adaptive_misinformation needs slope > 0 and a threshold in [0, 1], "
                f"got slope={self.slope}, threshold={self.threshold}"
            )

    def check(self, teacher: LanguageModel) -> None:
        check_vocabularies(teacher, self.proxy)

    def prepare(self, preparation: Preparation) -> None:
        self.check(preparation.teacher)
        self.proxy.model.to(preparation.teacher.device)
        self.classifier = QueryClassifier.fitted(preparation, self.protected, self.prompts)

    def rewrite_request(self, request: Request) -> Request:
        assert self.classifier is not None, "prepare() fits the classifier"
        return replace(request, risk=max(request.risk, min(1.0, self.classifier.of(request))))

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        misled = rows.follow(self.proxy.model).float().log_softmax(-1)
        odds = (self.slope * (rows.risk - self.threshold))[:, None]
        blended = torch.logaddexp(logprobs + logsigmoid(-odds), misled + logsigmoid(odds))
        return torch.where(odds.sigmoid() == 0, logprobs, blended)

    def cost(self) -> Cost:
        return Cost(forwards=1.0)

    def summary(self) -> dict[str, Any]:
        return self.classifier.rates(self.threshold) if self.classifier else {}
