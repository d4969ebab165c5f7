"""Probe, then exploit: try several ways of asking, go on with the one that is answered with reasoning most often.

The search over elicitation techniques that was reported of a campaign of 2026 (12,000 probes); a bandit over elicitors
with all exploration first (Garivier et al., NeurIPS 2016, arXiv 1605.08988). Breakers: a classifier of elicitation;
a defense that hides reasoning however it is asked. Deviates: the arms are this project's elicitors; the reward is what
an attacker can see, not the overlap with the true trace. Probes are charged, and learned from, as any call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from spiritsafe.attack import Elicitor
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request
from spiritsafe.interface import Interface
from spiritsafe.measures.refusal import is_refusal


@dataclass
class ProbeThenExploit:
    """``elicitors`` by name take turns for the first ``probes`` calls, and on until the replies to these have come;
    from then on the best so far asks, the first of equals. A reply shows reasoning where there is a reasoning part, or
    ``words`` words of visible text. A conversation stays with the elicitor that began it."""

    elicitors: Mapping[str, Elicitor]
    probes: int = 64
    words: int = 16
    _asked: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    _shares: dict[str, tuple[int, int]] = field(default_factory=dict, init=False, repr=False)
    _begun: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.elicitors or self.probes < len(self.elicitors):
            raise UserError(
                f"{len(self.elicitors)} elicitors cannot be compared in {self.probes} probes: give "
                "attack.elicitor.elicitors at least one, and probes one call for each"
            )

    def wrap(self, request_id: str, messages: Sequence[Message], interface: Interface) -> Request:
        if not self._asked:  # what one of them may not ask is better known before the first call than after
            for elicitor in self.elicitors.values():
                interface.check(elicitor.wrap(request_id, messages, interface))
        name = self._asked.get(conversation(request_id)) or self._next()
        self._asked[conversation(request_id)] = name
        return self.elicitors[name].wrap(request_id, messages, interface)

    def unwrap(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """What every elicitor would take off; an elicitor leaves what it did not put there."""
        for elicitor in self.elicitors.values():
            messages = elicitor.unwrap(messages) if hasattr(elicitor, "unwrap") else messages
        return tuple(messages)

    def follow_up(self, exchange: Exchange) -> Request | None:
        elicitor = self.elicitors[self._asked[conversation(exchange.request.id)]]
        return elicitor.follow_up(exchange) if hasattr(elicitor, "follow_up") else None

    def observe(self, exchanges: Sequence[Exchange]) -> None:
        for exchange in exchanges:
            name = self._asked.get(conversation(exchange.request.id))
            if name and exchange.purpose == "harvest":
                shown, heard = self._shares.get(name, (0, 0))
                self._shares[name] = (shown + reasons(exchange.reply, self.words), heard + 1)
        for elicitor in self.elicitors.values():
            if hasattr(elicitor, "observe"):
                elicitor.observe(exchanges)

    @property
    def best(self) -> str:
        shares = {name: shown / heard for name, (shown, heard) in self._shares.items()}
        return max(self.elicitors, key=lambda name: shares.get(name, 0.0))

    def _next(self) -> str:
        heard = sum(heard for _, heard in self._shares.values())
        place = self._begun
        self._begun += 1
        if heard < self.probes:
            return list(self.elicitors)[place % len(self.elicitors)]
        return self.best


def conversation(request_id: str) -> str:
    """A request is named after its conversation and, behind the last ``#``, its turn."""
    return request_id.rpartition("#")[0] or request_id


def reasons(reply: Reply, words: int) -> bool:
    if reply.outcome is not Outcome.ANSWERED or is_refusal(reply.text):
        return False
    return bool((reply.reasoning or "").strip()) or len(reply.text.split()) >= words
