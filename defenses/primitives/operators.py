"""What a directional score is done with: four ways to move a distribution along it, each within a budget of its own.

    tilt            softmax(z + λ c)                              antidistillation sampling, arXiv 2504.13146, eq. 11
    margin_tilt     the same with λ cut so that no top-1 changes  its margin-bounded form, arXiv 2607.15467
    redirect        max ⟨c, y'⟩ s.t. ‖y' − y‖₁ ≤ ε, y' ∈ Δ        GRAD², arXiv 2206.14157
    blend           (1 − α) y + α y*, within an L1 ball           MAD, arXiv 1906.10908; on logits, product of experts

Scores and logits are [rows, vocabulary]; strengths and budgets are numbers or [rows].
"""

import torch
from torch import Tensor


def tilt(logits: Tensor, score: Tensor, strength: float | Tensor) -> Tensor:
    """Exponential tilt, in logits."""
    return logits + _column(strength) * score


def margin_tilt(logits: Tensor, score: Tensor, strength: float | Tensor, margin: float = 1e-4) -> Tensor:
    """The tilt, weakened row by row until the top token leads every other by ``margin`` nats, or by its own lead where
    that is smaller."""
    top = logits.argmax(-1, keepdim=True)
    lead = logits.gather(-1, top) - logits
    gain = score - score.gather(-1, top)
    others = torch.ones_like(logits, dtype=torch.bool).scatter(-1, top, False)
    room = ((lead - margin).clamp(min=0) / gain).masked_fill(~(others & (gain > 0)), torch.inf).amin(-1)
    allowed = torch.minimum(torch.as_tensor(strength, dtype=logits.dtype, device=logits.device), room)
    return tilt(logits, score, allowed)


def redirect(probabilities: Tensor, score: Tensor, radius: float | Tensor) -> Tensor:
    """The probabilities y' that maximise ⟨score, y'⟩ within an L1 distance of ``radius``: up to half of it in mass
    moves from the lowest scores to the highest. Greedy and exact, since the program is linear (arXiv 2206.14157).
    """
    best = score.argmax(-1, keepdim=True)
    room = (1 - probabilities.gather(-1, best)).clamp(max=_column(radius) / 2)
    order = score.argsort(dim=-1, stable=True)
    ranked = probabilities.gather(-1, order)
    before = ranked.cumsum(-1) - ranked
    taken = torch.zeros_like(ranked).scatter(-1, order, torch.minimum((room - before).clamp(min=0), ranked))
    return (probabilities - taken).scatter_add(-1, best, taken.sum(-1, keepdim=True))


def blend(origin: Tensor, target: Tensor, share: float | Tensor) -> Tensor:
    """Convex combination; 0 is the origin, bit for bit."""
    return torch.lerp(origin, target, torch.as_tensor(_column(share), dtype=origin.dtype, device=origin.device))


def share_within(origin: Tensor, target: Tensor, radius: float | Tensor) -> Tensor:
    """The largest share in [0, 1] that keeps ``blend`` within an L1 distance of ``radius``: [rows]."""
    distance = (target - origin).abs().sum(-1)
    return (torch.as_tensor(radius, dtype=origin.dtype, device=origin.device) / distance.clamp(min=1e-30)).clamp(max=1)


def _column(value: float | Tensor) -> float | Tensor:
    return value[:, None] if isinstance(value, Tensor) and value.dim() == 1 else value
