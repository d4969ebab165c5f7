"""Redirection that keeps the top token: the linear program of ModelGuard-W, Tang et al., USENIX Security 2024.

    max ⟨c, y'⟩   s.t.   ‖y' − y‖₁ <= ε,   y' ∈ Δ,   y'_top >= y'_j + m for every other j

For a given level L = y'_top − m the rest is greedy: whatever lies above L is cut down to it, the lowest scores give,
the highest receive up to L. As a function of L the optimum is concave and piecewise linear, so the two tangents at the
ends of a bracket meet above it; where they meet is tried next, until nothing better is left. One sort, then some ten
passes over [rows, vocabulary] for each of about as many levels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

STEEP = 1e18  # the slope of a wall
LEVELS = 200


def redirect_below_top(probabilities: Tensor, score: Tensor, radius: float, margin: float = 1e-4) -> Tensor:
    """The probabilities y' that maximise ⟨score, y'⟩ within an L1 distance of ``radius`` while the top token leads
    every other by ``margin``, or by its own lead where that is smaller. [rows, vocabulary], exact within rounding."""
    top = probabilities.argmax(-1, keepdim=True)
    order = score.scatter(-1, top, torch.inf).argsort(-1)[:, :-1]  # of the others
    y, first = probabilities.gather(-1, order), probabilities.gather(-1, top)
    lead = (first - y.amax(-1, keepdim=True)).clamp(max=margin)
    program = Program(y, score.gather(-1, order), first, score.gather(-1, top), lead, radius / 2)
    others, leader = program.exact().served(program.best().double())
    others = torch.minimum(others, leader * (1 - 1e-6)).to(probabilities.dtype)  # a lead that rounding leaves
    leader = leader.to(probabilities.dtype)
    return torch.empty_like(probabilities).scatter(-1, order, others).scatter(-1, top, leader)


@dataclass
class Greedy:
    """What is best at a level, all [rows, 1] but ``kept`` [rows, others]: the first ``emptied`` others give everything,
    those from ``full`` on are at the level; the last to give and to receive have ``given`` and ``received`` in part."""

    kept: Tensor
    emptied: Tensor
    full: Tensor
    given: Tensor
    received: Tensor
    value: Tensor
    slope: Tensor
    missing: Tensor  # by how much the level is too low for the budget, at least


@dataclass
class Program:
    """``y`` [rows, others] and their scores ``c`` in ascending order of score; all else [rows, 1] or one number."""

    y: Tensor
    c: Tensor
    top: Tensor
    top_score: Tensor
    lead: Tensor
    room: float

    def __post_init__(self) -> None:
        self.scores = pad(self.c.cumsum(-1), (1, 0))
        self.places = torch.arange(1, self.y.shape[-1] + 1, device=self.y.device)
        self.rest = self.y.sum(-1, keepdim=True)
        self.precision = 32 * torch.finfo(self.y.dtype).eps * self.c.abs().amax(-1, keepdim=True).clamp(min=1)

    def best(self) -> Tensor:
        """The level of the optimum: [rows, 1]."""
        level = self.top - self.lead  # of y itself
        here = self.at(level)
        best, value = level, here.value
        up = here.slope > 0
        total = self.top + self.rest
        floor = torch.maximum((total - self.lead) / (self.y.shape[-1] + 1), level - self.room)
        ceiling = torch.minimum(total - self.lead, level + self.room)
        left, right = torch.where(up, level, floor), torch.where(up, ceiling, level)
        tangent = here.value + here.slope * (torch.where(up, right, left) - level)
        left_value, right_value = torch.where(up, value, tangent), torch.where(up, tangent, value)
        left_slope, right_slope = torch.where(up, here.slope, STEEP), torch.where(up, -STEEP, here.slope)
        for _ in range(LEVELS):
            gap = right_value - left_value - right_slope * (right - left)
            level = torch.minimum(torch.maximum(left + gap / (left_slope - right_slope), left), right)
            bound = torch.where(
                left_slope < STEEP,
                left_value + left_slope * (level - left),
                right_value + right_slope * (level - right),
            )
            open_ = bound - value > self.precision
            if not bool(open_.any()):
                break
            here = self.at(level)
            low = here.missing > 0
            better = open_ & ~low & (here.value > value)
            best, value = torch.where(better, level, best), torch.where(better, here.value, value)
            rising, falling = open_ & ~low & (here.slope > 0), open_ & ~low & (here.slope <= 0)
            right = torch.where(falling, level, right)
            right_value = torch.where(falling, here.value, right_value)
            right_slope = torch.where(falling, here.slope, right_slope)
            left = torch.where(open_ & ~falling, level + here.missing, left)
            walled = right_value + right_slope * (left - right)
            left_value = torch.where(rising, here.value, torch.where(open_ & low, walled, left_value))
            left_slope = torch.where(rising, here.slope, torch.where(open_ & low, STEEP, left_slope))
        return best

    def at(self, level: Tensor) -> Greedy:
        others = self.y.shape[-1]
        kept = torch.minimum(self.y, level)
        held = pad(kept.cumsum(-1), (1, 0))
        total = held[:, -1:]
        change = level + self.lead - self.top
        lost, gained = (-change).clamp(min=0) + self.rest - total, change.clamp(min=0)  # whatever the others do

        def wanted(full: Tensor) -> Tensor:
            """Mass that lifts the others from ``full`` on to the level."""
            return (others - full) * level - (total - held.gather(-1, full))

        unlimited = (others - (self.rest - change) / level.clamp(min=1e-30)).ceil().clamp(0, others).long()
        partial = (unlimited - 1).clamp(min=0)
        moved = torch.maximum(gained + wanted(unlimited), lost + held.gather(-1, partial)).clamp(max=self.room)
        emptied = torch.searchsorted(held[:, 1:].contiguous(), self.room - lost, right=True)
        emptied = torch.minimum(emptied, partial)
        enough = self.room - gained + total - others * level
        full = torch.searchsorted(self.places * level - held[:, 1:], -enough) + (enough < 0)
        full = torch.maximum(full.clamp(max=others), unlimited)

        given = (moved - lost - held.gather(-1, emptied)).clamp(min=0)
        received = (moved - gained - wanted(full)).clamp(min=0)
        giver, receiver = self.c.gather(-1, emptied), self.c.gather(-1, (full - 1).clamp(min=0))
        worth = pad((self.c * kept).cumsum(-1), (1, 0))
        value = (
            worth.gather(-1, full)
            - worth.gather(-1, emptied)
            + level * (self.scores[:, -1:] - self.scores.gather(-1, full))
            + receiver * received
            - giver * given
            + self.top_score * (level + self.lead)
        )
        above = self.y > level
        slope = (self.c - torch.where(above, giver, receiver)).clamp(min=0).sum(-1, keepdim=True)
        slope = slope + self.top_score - torch.where(change < 0, giver, receiver)
        excess = lost - self.room
        excess = excess.masked_fill(excess <= 4 * torch.finfo(self.y.dtype).eps, 0)
        missing = excess / (above.sum(-1, keepdim=True) + (change < 0)).clamp(min=1)
        return Greedy(kept, emptied, full, given, received, value, slope, missing)

    def served(self, level: Tensor) -> tuple[Tensor, Tensor]:
        """The others' probabilities at a level and the top token's, once a level too low for the budget is raised."""
        found = self.at(level)
        if bool((found.missing > 0).any()):
            level = level + found.missing
            found = self.at(level)
        moved = torch.where(self.places > found.full, level, found.kept).masked_fill(self.places <= found.emptied, 0)
        moved = moved.scatter_add(-1, found.emptied, -found.given)
        return moved.scatter_add(-1, (found.full - 1).clamp(min=0), found.received).clamp(min=0), level + self.lead

    def exact(self) -> Program:
        """The same in float64, where sums over a large vocabulary keep what a single token has."""
        y, c, top, top_score, lead = (each.double() for each in (self.y, self.c, self.top, self.top_score, self.lead))
        return Program(y, c, top, top_score, lead, self.room)
