"""What the API offers, and the signals a student's objective can learn from."""

from dataclasses import dataclass
from enum import Flag, auto
from typing import Literal

from spiritsafe.errors import UserError
from spiritsafe.exchange import Request, Sampling

STRONGEST_BIAS = 100.0  # what providers that offer a logit bias allow


class Signal(Flag):
    TEXT = auto()
    TOP_LOGPROBS = auto()
    FULL_LOGITS = auto()
    SCORE = auto()


@dataclass(frozen=True)
class Interface:
    """The product the teacher is sold as. Part of a result's identity (arXiv 2606.25059).

    ``sampling`` is the decoding every caller gets; ``top_logprobs`` is the largest k that may be asked for;
    ``logit_bias`` is how many tokens' logits a request may shift, each by at most ``STRONGEST_BIAS``.
    """

    sampling: Sampling = Sampling()
    samples: int = 1
    top_logprobs: int = 0
    full_logits: bool = False
    scoring: bool = False
    prefill: bool = False
    logit_bias: int = 0
    reasoning: Literal["full", "hidden"] = "full"

    @property
    def signals(self) -> Signal:
        signals = Signal.TEXT
        if self.top_logprobs:
            signals |= Signal.TOP_LOGPROBS
        if self.full_logits:
            signals |= Signal.FULL_LOGITS | Signal.TOP_LOGPROBS
        if self.scoring:
            signals |= Signal.SCORE
        return signals

    def check(self, request: Request) -> None:
        """Raise where a request asks for more than is offered."""
        if request.samples > self.samples:
            raise UserError(f"the interface offers {self.samples} samples a request, {request.samples} were asked for")
        if request.top_logprobs > self.top_logprobs and not self.full_logits:
            raise UserError(
                f"the interface offers top {self.top_logprobs} logprobs, {request.top_logprobs} were asked "
                f"for: set interface.top_logprobs={request.top_logprobs} or ask for fewer"
            )
        if request.prefill and not self.prefill:
            raise UserError("the interface offers no prefill: set interface.prefill=true or use another elicitor")
        if request.score is not None and not self.scoring:
            raise UserError("the interface offers no scoring: set interface.scoring=true")
        if len(request.logit_bias) > self.logit_bias:
            raise UserError(
                f"the interface lets a request bias {self.logit_bias} tokens, {len(request.logit_bias)} were asked "
                f"for: set interface.logit_bias={len(request.logit_bias)} or bias fewer"
            )
        if not all(abs(bias) <= STRONGEST_BIAS for _, bias in request.logit_bias):
            raise UserError(
                f"request {request.id!r} has a logit_bias beyond ±{STRONGEST_BIAS:g}, which the interface does not take"
            )
