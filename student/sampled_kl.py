"""Random-sampling distillation: forward KL from a few drawn tokens, unbiased where the largest k are not.
Anshumann et al., ACL 2025, arXiv 2503.16870.

    KL ≈ (1/n) Σ_j w_j (log p_j - log q_j),    j ~ r ∝ p^τ,    w_j = p_j / r_j

In the paper about 12 different tokens do as well as all logits. Breaker: an interface of text.
Deviates: (1) drawn from what was disclosed; the undisclosed mass is one more bucket that can be drawn, so the mean is
the ``tail`` KL of ``topk_kl``, and the full KL only at k = V. (2) The weights are not divided by their sum, which would
bias them at τ ≠ 1. (3) A token's draw is a function of ``seed`` and of what was disclosed there: it stays over epochs,
as if cached, whatever the batch.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from spiritsafe.randomness import INCREMENT, mix, stream_key, uniforms
from student.buckets import buckets, check_alpha, disclosed, with_text


@dataclass(frozen=True)
class SampledKL:
    """``draws`` is n, with replacement; ``power`` is τ; ``alpha`` mixes in cross-entropy on the sampled token."""

    draws: int = 12
    power: float = 1.0
    seed: int = 0
    alpha: float = 0.0
    needs: ClassVar[Signal] = Signal.TEXT | Signal.TOP_LOGPROBS

    def __post_init__(self) -> None:
        check_alpha(self.alpha)
        if self.draws < 1 or not 0 < self.power <= 1:
            raise UserError(
                f"sampled_kl needs objective.draws >= 1 and objective.power in (0, 1], got {self.draws}, {self.power}"
            )

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        log_p, log_q = buckets(logits, targets)
        log_r = (self.power * log_p).log_softmax(1)
        cumulative = log_r.double().exp().cumsum(1)
        keys = _keys(targets, logits.shape[1], self.seed)
        rounds = torch.arange(self.draws, device=keys.device)
        uniform = uniforms(keys[:, None], rounds) * cumulative[:, -1:]
        drawn = torch.searchsorted(cumulative, uniform, right=True).clamp(max=log_p.shape[1] - 1)
        weight = (log_p - log_r).gather(1, drawn).exp() / self.draws
        kl = (weight * (log_p - log_q).gather(1, drawn)).sum(1)
        return with_text(kl, logits, targets, self.alpha)


def _keys(targets: Targets, vocabulary: int, seed: int) -> Tensor:
    """A random stream for each token, [n] int64, from what was disclosed there and not from where it stands."""
    ids, log_p, there = disclosed(targets, vocabulary)
    bits = log_p.float().contiguous().view(torch.int32)
    content = (mix(ids * INCREMENT + bits) * there).sum(1) + mix(targets.tokens)
    return mix(content + stream_key(seed, "sampled_kl", 0))
