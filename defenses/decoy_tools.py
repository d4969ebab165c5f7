"""Decoy tools: definitions of tools that do not exist stand among the real ones, so that recorded agent traffic holds
calls to them. A deployed measure known from press reports of a coding agent's source; no paper, no published default.

Breaker: stripping calls of unknown tools from the recorded data. Deviates: names are invented and neutral, and nothing
answers a call to one: the environment treats it like any other unknown call. The same conversation gets the same decoys
on every turn and for every account, so that comparing accounts does not show which are false.

A decoy reaches only a chat with tools, that is one with a system or a tool message (``always`` drops that condition): a
chat without them is served as it was asked for. The tools of the reference world are trained in and not listed, so its
first turns are untouched and later ones, after a tool has spoken, get a system message of their own. Its teacher has
never read one: prose there costs it most of its accuracy, a bare ``call name`` none, which is what the config writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from random import Random

from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request
from spiritsafe.randomness import stream_key

_FIRST = ("ba", "cor", "del", "fen", "gar", "hol", "jin", "kel", "lum", "mer", "nor", "pel", "rin", "sol", "tav", "vin")
_LAST = ("dex", "gan", "lim", "mot", "rix", "sul", "ten", "vor")
_NAMES = tuple(f"{first}{last}_{verb}" for first, last, verb in product(_FIRST, _LAST, ("list", "show")))


@dataclass(kw_only=True)
class DecoyTools(Defense):
    """``k`` definitions, each the ``definition`` with its ``{name}``, under a ``heading``; ``names`` to draw from in
    place of the invented ones. A name that the system message or the opening says already is not used."""

    k: int = 2
    heading: str = "Further tools:"
    definition: str = "- {name}(entry): shows the record of an entry."
    names: Sequence[str] = _NAMES
    always: bool = False
    key: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.k <= len(set(self.names)):
            raise UserError(
                f"decoy_tools needs k from 0 to the {len(set(self.names))} different names it may use, got k={self.k}: "
                "lower k or give more names"
            )
        if "{name}" not in self.definition:
            raise UserError("decoy_tools needs {name} in its definition: set definition='- {name}(entry): ...'")

    def rewrite_request(self, request: Request) -> Request:
        roles = [message.role for message in request.messages]
        if not self.k or not (self.always or "system" in roles or "tool" in roles):
            return request
        definitions = [self.definition.replace("{name}", name) for name in self.decoys(request)]
        block = "\n".join([*filter(None, [self.heading]), *definitions])
        messages = list(request.messages)
        if "system" in roles:
            place = roles.index("system")
            messages[place] = Message("system", f"{messages[place].content}\n\n{block}")
        else:
            messages.insert(0, Message("system", block))
        return replace(request, messages=tuple(messages))

    def decoys(self, request: Request) -> list[str]:
        """Drawn by what the conversation began with; no id of a request or an account has a part in it."""
        opening = next((message.content for message in request.messages if message.role == "user"), "")
        order = sorted(set(self.names))
        Random(stream_key(self.key, opening, 0)).shuffle(order)
        said = "\n".join([opening, *(message.content for message in request.messages if message.role == "system")])
        return [name for name in order if name not in said][: self.k]
