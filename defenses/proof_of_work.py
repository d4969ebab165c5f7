"""Proof of work: the more an account's prompts have told it beyond what an honest user's would, the longer the puzzle.
Dziedzic et al., "Increasing the Cost of Model Extraction with Calibrated Proof of Work", ICLR 2022, arXiv 2201.09243.

    t = min( max( 0.1 s, base^|c − ĉ| ), 2948 s )

with c the information cost of the account's requests so far and ĉ what honest traffic predicts at their number, by a
linear fit. Published: base 1.0075 with PATE's privacy cost, 1.18 (MNIST) and 1.05 (SVHN) with private kNN; 32 bits of
hashcash are 2948 s. Breakers: Sybil accounts, each of which is cheap; prompts drawn from public traffic; parallel
hardware. An honest user of one task alone pays too, and so does everyone who stays for long.
Deviates: (1) a language model has no privacy accountant, so c is −log density of the prompts under a smoothed unigram
model of the hashed words and word pairs of public traffic. (2) Averaged over the orders that held-out prompts may come
in, the linear fit is a line through 0, which leaves ĉ = n once costs are in units of the mean prompt. (3) The published
bases belong to costs of a like size; ours is the mildest for private kNN. At 1.05, honest accounts of this testbed that
ask 8, 64 and 256 mixed questions pay 1.1, 1.2 and 2.4 s for each (the paper promises its users twice the time at most),
a campaign for two capabilities 470 s over its first 256 and the cap from then on; 1.18 already costs the honest 256
some 50 s each, since their prompts are never quite like public ones and the gap adds up. (4) The floor of 0.1 s never
binds, for base^0 is 1 s. Each sample of a request counts; time is simulated, nothing is burnt.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from defenses.primitives.queries import FEATURES, features
from spiritsafe.account import Account
from spiritsafe.defense import Decision, Defense, Needs, Preparation
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request

MOST = 2948.0  # seconds


@dataclass
class ProofOfWork(Defense):
    """``prompts`` of public traffic are asked for, one in four of which is held out of the density."""

    base: float = 1.05
    prompts: int = 1024
    surprise: Tensor | None = field(default=None, init=False, repr=False)  # −log density of each feature
    mean: float = field(default=1.0, init=False)  # of an honest prompt, in nats
    asked: dict[str, tuple[int, float]] = field(default_factory=dict, init=False, repr=False)  # n and c
    honest: dict[str, Any] = field(default_factory=dict, init=False, repr=False)
    needs: ClassVar[Needs] = Needs.ACCOUNTS

    def __post_init__(self) -> None:
        if not 1 <= self.base < float("inf") or self.prompts < 8:
            raise UserError(
                "proof_of_work needs base >= 1 (1 asks the same of everyone) and prompts >= 8, "
                f"got base={self.base}, prompts={self.prompts}"
            )

    def prepare(self, preparation: Preparation) -> None:
        texts = [text for _, text in preparation.benign(self.prompts)]
        if len(texts) < 4:
            raise UserError(
                f"proof_of_work needs public traffic and found {len(texts)} prompts: add tasks, or raise its prompts"
            )
        order = torch.randperm(len(texts), generator=torch.Generator().manual_seed(preparation.seed)).tolist()
        shuffled, kept = [texts[index] for index in order], len(texts) // 4
        self.surprise = surprise(shuffled[kept:])
        costs = [self.information(text) for text in shuffled[:kept]]
        self.mean = sum(costs) / kept
        gaps = [abs(sum(costs[: count + 1]) / self.mean - (count + 1)) for count in range(kept)]
        seconds = sum(map(self.seconds, gaps)) / kept
        self.honest = {
            "requests": kept,
            "nats_a_request": self.mean,
            "seconds_a_request": seconds,
            "bits": bits(seconds),
        }

    def information(self, text: str) -> float:
        """−log density, in nats."""
        assert self.surprise is not None, "prepare() fits the density"
        return float(self.surprise[features(text)].sum())

    def seconds(self, gap: float) -> float:
        """For a ``gap`` |c − ĉ| in honest prompts; in logarithms, since the power soon overflows."""
        return math.exp(min(gap * math.log(self.base), math.log(MOST)))

    def admit(self, request: Request, account: Account) -> Decision:
        said = [message.content for message in request.messages if message.role == "user"]
        count, cost = self.asked.get(account.id, (0, 0.0))
        count += request.samples
        cost += request.samples * sum(map(self.information, said)) / self.mean
        self.asked[account.id] = count, cost
        return Decision(seconds=self.seconds(abs(cost - count)))

    def summary(self) -> dict[str, Any]:
        """``honest`` is one account that asks all held-out prompts."""
        return {"base": self.base, "honest": self.honest, "most_bits": bits(MOST)} if self.honest else {}


def surprise(texts: Sequence[str]) -> Tensor:
    """−log probability of each hashed feature, add-one smoothed: [FEATURES], float64."""
    found = torch.tensor([feature for text in texts for feature in features(text)])
    counts = torch.bincount(found, minlength=FEATURES).double() + 1
    return -(counts / counts.sum()).log()


def bits(seconds: float) -> int:
    """Leading zero bits of a hashcash puzzle that takes so long: the authors' regression on their 32 timings."""
    return max(0, round(18.532 + 3.514 * math.log10(seconds)))
