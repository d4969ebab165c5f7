"""Green-list watermark: raise the logits of tokens that a keyed hash of the preceding ones picks, and find the picks
again in whatever was trained on the text. Kirchenbauer et al., ICML 2023, arXiv 2301.10226.

    z'_v = z_v + δ · 1[v ∈ S],    S of a share γ of the vocabulary, keyed by the last h tokens

Published defaults: γ = 0.25, δ = 2, h = 4 (self-hash); here h = 2, since a student takes over windows of 1 and 2 and
hardly longer ones (arXiv 2502.11598). The audit is the radioactivity test of a closed model (arXiv 2402.14904): green
hits among unique (window, token) pairs of the suspect's own completions, p = P(Binomial(N, γ) >= hits). Breakers:
subtracting the inferred lists at inference, paraphrase of the training text (both 2502.11598). Deviates: each token
is green with probability γ on its own (defenses/primitives/keyed.py), no self-hash; what the suspect is
prompted with is taken to be unmarked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from defenses.primitives.calibrated import Calibrated
from defenses.primitives.keyed import Key, binomial_test, green, marked, observations, secrets
from spiritsafe.attack import Example
from spiritsafe.defense import Needs, Rows, Verdict
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class KGW(Calibrated):
    """``strength`` is δ, ``share`` γ and ``window`` h. Greedy rows are marked too."""

    key: Key = None
    strength: float | None = 2.0
    share: float = 0.25
    window: int = 2
    interval: ClassVar[tuple[float, float]] = (0.1, 32.0)
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.KEY

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share < 1 or self.window < 1:
            raise UserError(f"kgw needs 0 < share < 1 and window >= 1, got share={self.share}, window={self.window}")
        self._secret = secrets("kgw", self.key)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if not self.active:
            return logits
        listed = green(self._secret, rows.context(self.window), logits.shape[-1], self.share)
        return torch.where(listed, logits + self.set_strength, logits)

    def audit(self, suspect: LanguageModel, completions: Sequence[Example], keys: int) -> Verdict:
        windows, tokens = observations(completions, self.window)
        return binomial_test(
            secrets("kgw", self.key, keys),
            windows,
            tokens,
            lambda bits: marked(bits, self.share).sum(-1),
            trials=1,
            share=self.share,
        )
