"""Which exchanges answer the same question."""

from collections.abc import Hashable, Sequence

from spiritsafe.exchange import Exchange


def prompt_of(exchange: Exchange) -> Hashable:
    """Equal for replies to one question, whichever account asked, how often, and in what words. Later turns of a
    conversation answer the same only where the same was said before; so does what belongs to no item."""
    said = exchange.request.messages if exchange.turn or not exchange.item else ()
    return exchange.task, exchange.item, exchange.turn, said


def by_prompt(exchanges: Sequence[Exchange]) -> dict[Hashable, list[int]]:
    """Places of the harvested exchanges of each question, in order. Calls for another purpose answer none."""
    places: dict[Hashable, list[int]] = {}
    for place, exchange in enumerate(exchanges):
        if exchange.purpose == "harvest":
            places.setdefault(prompt_of(exchange), []).append(place)
    return places
