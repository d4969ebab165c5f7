"""Ask the question as it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from spiritsafe.exchange import Message, Request
from spiritsafe.interface import Interface


@dataclass(frozen=True)
class Plain:
    """``top_logprobs`` is the k to ask for, at most what is on offer; None asks for all that is on offer."""

    top_logprobs: int | None = None

    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request:
        offered = interface.top_logprobs
        wanted = offered if self.top_logprobs is None else self.top_logprobs
        return Request(
            id=request_id,
            messages=tuple(messages),
            sampling=interface.sampling,
            top_logprobs=wanted if interface.full_logits else min(wanted, offered),
        )
