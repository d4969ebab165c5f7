"""SynthID-Text: a tournament between candidate tokens that keyed bits decide, invisible on average over keys.
Dathathri et al., Nature 634 (2024).

    p ← p · (1 + g_ℓ − Σ_u g_ℓ(u) p_u),    ℓ = 1 … m,    g_ℓ(v) ∈ {0, 1} keyed by the last n − 1 tokens

Published defaults: m = 30 layers, n = 5, no context marked twice among the last 1,024; here n = 3, since a student
takes over n = 2 and 3 and hardly more (arXiv 2502.11598). The audit is its mean detector over unique (window, token)
pairs of the suspect's own completions: p = P(Binomial(N m, 1/2) >= ones). Breakers: as of KGW (2502.11598). Deviates:
the layers' bits are those of one 64-bit hash (primitives/keyed.py); contexts are compared, not hashed, within one
completion; the tournament is held at the row's temperature but before its top-p, so it is unbiased for top_p = 1
only. Greedy rows are unchanged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from defenses.primitives.keyed import Key, binomial_test, full, observations, secrets, vocabulary_bits
from spiritsafe.attack import Example
from spiritsafe.defense import Defense, Needs, Rows, Verdict
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel


@dataclass(kw_only=True)
class SynthID(Defense):
    """``layers`` is m (0 marks nothing), ``ngram`` n. A context is not marked again within ``history`` tokens."""

    key: Key = None
    layers: int = 30
    ngram: int = 3
    history: int = 1024
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.KEY

    def __post_init__(self) -> None:
        if not 0 <= self.layers <= 64 or self.ngram < 2 or self.history < 0:
            raise UserError(
                f"synthid needs layers from 0 to 64, ngram >= 2 and history >= 0, got layers={self.layers}, "
                f"ngram={self.ngram}, history={self.history}"
            )
        self._secret = secrets("synthid", self.key)

    def sample_logits(self, logits: Tensor, rows: Rows) -> Tensor:
        if not self.layers:
            return logits
        windows = rows.context(self.ngram - 1)
        fresh = full(windows) & (rows.temperature > 0) & ~self._repeated(rows)
        heat = torch.where(rows.temperature > 0, rows.temperature, 1.0)[:, None]
        marks = vocabulary_bits(self._secret, windows, logits.shape[-1])
        gains = tournament((logits / heat).float().softmax(-1), marks, self.layers)
        return torch.where(fresh[:, None], logits + heat * gains, logits)

    def _repeated(self, rows: Rows) -> Tensor:
        """[rows]: the window of this step was the window of an earlier one of the same completion."""
        width = self.ngram - 1
        back = min(self.history, int(rows.generated.max()))
        context = rows.context(back + width)
        steps = context.unfold(1, width, 1)  # [rows, steps, width], this one last
        ago = torch.arange(steps.shape[1] - 1, -1, -1, device=context.device)
        earlier = (ago > 0) & (ago <= rows.generated[:, None])
        return ((steps == steps[:, -1:]).all(-1) & earlier).any(-1)

    def audit(self, suspect: LanguageModel, completions: Sequence[Example], keys: int) -> Verdict:
        windows, tokens = observations(completions, self.ngram - 1)

        def ones(bits: Tensor) -> Tensor:
            none = torch.zeros(len(bits), dtype=torch.long)
            return sum(((bits >> layer & 1).sum(-1) for layer in range(self.layers)), none)

        return binomial_test(secrets("synthid", self.key, keys), windows, tokens, ones, trials=self.layers, share=0.5)


def tournament(probabilities: Tensor, marks: Tensor, layers: int) -> Tensor:
    """log p'/p after so many layers: [rows, vocabulary]; -inf where a token has lost for certain."""
    gains = torch.zeros_like(probabilities)
    for layer in range(layers):
        wins = (marks >> layer & 1).bool()
        mass = (probabilities * wins).sum(-1, keepdim=True).clamp(max=1)
        probabilities = probabilities * torch.where(wins, 2 - mass, 1 - mass)
        gains = gains + torch.where(wins, (1 - mass).log1p(), (-mass).log1p())
    return gains
