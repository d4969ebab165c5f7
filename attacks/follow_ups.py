"""A second question about a reply: its name, its request, and which reply it was about."""

from collections.abc import Sequence
from dataclasses import replace

from spiritsafe.exchange import Exchange, Message, Outcome, Request


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
