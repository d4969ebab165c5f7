"""A second question about a reply: who asks it, its request and its name, and which reply it was about."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from attacks.plain import Plain
from spiritsafe.attack import Elicitor
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Request
from spiritsafe.interface import Interface


@dataclass(frozen=True)
class AsksAgain:
    """``elicitor`` asks the question, ``text`` is asked about what came back; ``kind`` marks that second request."""

    text: str
    elicitor: Elicitor = field(default_factory=Plain)
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise UserError("the teacher is not told what to do with its reply: set attack.elicitor.text")

    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request:
        return self.elicitor.wrap(request_id, messages, interface)

    def unwrap(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        return self.elicitor.unwrap(messages) if hasattr(self.elicitor, "unwrap") else tuple(messages)

    def follow_up(self, exchange: Exchange) -> Request | None:
        return about(exchange, self.text, self.kind)


def about(exchange: Exchange, text: str, kind: str) -> Request | None:
    """Ask ``text`` about a reply in the conversation that it ends; None where there is no reply to ask about."""
    said = exchange.reply.completion.strip()
    if exchange.reply.outcome is not Outcome.ANSWERED or not said:
        return None
    request = exchange.request
    return replace(
        request,
        id=named(exchange, kind),
        messages=(*request.messages, Message("assistant", shown(exchange)), Message("user", text)),
        samples=1,
        prefill="",
        score=None,
    )


def shown(exchange: Exchange) -> str:
    """The reply as an earlier turn of the conversation: what was worked out, without its marks, then the text."""
    return " ".join(part for part in ((exchange.reply.reasoning or "").strip(), exchange.reply.text.strip()) if part)


def named(exchange: Exchange, kind: str) -> str:
    return f"{exchange.request.id}/{exchange.sample}/{kind}"


def parted(exchanges: Sequence[Exchange], kind: str) -> tuple[list[Exchange], dict[str, Exchange]]:
    """All other exchanges, and the follow-ups of this kind by their request's name."""
    found = [each.purpose == "clean" and each.request.id.endswith(f"/{kind}") for each in exchanges]
    others = [each for each, ours in zip(exchanges, found, strict=True) if not ours]
    return others, {each.request.id: each for each, ours in zip(exchanges, found, strict=True) if ours}
