"""Top-k log probabilities: show only the k largest, rounded. The truncation family of Tramèr et al., arXiv 1609.02943.

Defaults: ModelGuard's passive baselines show the top 1, or one decimal. Breakers: text alone trains a student nearly
as well; repeated sampling or a logit bias recovers what was withheld (2403.06634). Deviates: nothing is renormalised
(the hidden mass stays visible as what is missing), and it is the log probability that is rounded, as APIs do.
What is sampled does not change.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass
class TopkLogprobs(Defense):
    """``k`` values a token; ``decimals`` after the point of each (null: all of them)."""

    k: int = 5
    decimals: int | None = None
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        if self.k < 1 or (self.decimals is not None and self.decimals < 0):
            raise UserError(
                f"topk_logprobs needs k >= 1 and decimals >= 0 (or null), got k={self.k}, decimals={self.decimals}; "
                "to show no log probabilities set interface.top_logprobs=0"
            )

    def check(self, teacher: LanguageModel) -> None:
        if self.k > teacher.vocabulary:
            raise UserError(
                f"topk_logprobs shows k={self.k} tokens and the teacher {teacher.name!r} has {teacher.vocabulary}: "
                f"set k to at most {teacher.vocabulary}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        values, ids = logprobs.topk(min(self.k, logprobs.shape[-1]), dim=-1)
        if self.decimals is not None:
            values = values.round(decimals=self.decimals)
        return logprobs.new_full(logprobs.shape, float("-inf")).scatter(-1, ids, values)
