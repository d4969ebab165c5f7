"""Gaussian noise on the logits of each token's probability, within an L_p ball. The noise baseline of the code of
prediction poisoning, Orekondy, Schiele and Fritz, ICLR 2020, arXiv 1906.10908.

    z = logit(y),    δ ~ N(0, 1)^V projected to ‖δ‖_p <= ε,    y' = σ(z + δ) / Σ σ(z + δ)

Defaults: none is published; ε is a budget on logits, not on probabilities. The projection is the Euclidean one, so
p = 1 leaves few tokens moved and p = inf clamps each. Breakers: averaging repeated queries, denoising (D-DAE).
Deviates: only the normal law (the code draws uniformly from [0, 2ε/V^(1/p)] as well), and its draws are keyed by the
row's random stream and position, so that batches do not matter.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from defenses.primitives.noise import noise_bits
from defenses.reverse_sigmoid import logit
from spiritsafe.defense import Defense, Needs, Rows
from spiritsafe.errors import UserError


@dataclass
class GaussianNoise(Defense):
    """``epsilon`` bounds the ``p``-norm of the noise; ``p`` is 1, 2 or inf."""

    epsilon: float = 1.0
    p: float = 2.0
    needs: ClassVar[Needs] = Needs.TEACHER_LOGITS | Needs.LOGPROBS

    def __post_init__(self) -> None:
        self.p = float(self.p)
        if not self.epsilon >= 0 or self.p not in (1.0, 2.0, float("inf")):
            raise UserError(
                f"gaussian_noise needs epsilon >= 0 and p in 1, 2 or inf, got epsilon={self.epsilon}, p={self.p}"
            )

    def disclose(self, logprobs: Tensor, rows: Rows) -> Tensor:
        if self.epsilon == 0:
            return logprobs
        noise = project(normals(noise_bits(rows, logprobs.shape[-1])), self.epsilon, self.p)
        return logsigmoid(logit(logprobs) + noise).log_softmax(-1)


def normals(bits: Tensor) -> Tensor:
    """Standard normals, one from each 64 random bits (Box and Muller), float32."""
    half = 2**32 - 1
    radius = (((bits >> 32) & half).float() + 0.5) * 2.0**-32  # in (0, 1]
    angle = (bits & half).float() * (2 * torch.pi * 2.0**-32)
    return (-2 * radius.log()).clamp(min=0).sqrt() * angle.cos()


def project(noise: Tensor, radius: float, p: float) -> Tensor:
    """The nearest point of the ``p``-norm ball, row by row."""
    if p == float("inf"):
        return noise.clamp(-radius, radius)
    if p == 1:
        ranked = noise.abs().sort(dim=-1, descending=True).values
        excess = ranked.cumsum(-1) - radius  # shrink all by θ until what is left is the radius: Duchi et al., ICML 2008
        kept = (ranked * torch.arange(1, noise.shape[-1] + 1, device=noise.device) > excess).sum(-1, keepdim=True)
        threshold = (excess.gather(-1, kept - 1) / kept).clamp(min=0)
        noise = noise.sign() * (noise.abs() - threshold).clamp(min=0)
    return noise * (radius / noise.norm(p, dim=-1, keepdim=True)).clamp(max=1)
