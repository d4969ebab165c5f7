"""The gateway as honest users meet it: many accounts, each with a few questions, and no budget but patience."""

from __future__ import annotations

from collections.abc import Sequence

from spiritsafe.account import Account
from spiritsafe.defense import Defense, Respond
from spiritsafe.exchange import Reply, Request
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

EACH = 8  # requests an account: per-account limits are meant for those who ask more


def honest(
    language_model: LanguageModel,
    interface: Interface,
    defenses: Sequence[Defense],
    *,
    seed: int = 0,
    batch_size: int = 256,
) -> Respond:
    """One reply a request, through the gateway and all its defenses."""
    accounts: dict[str, Account] = {}
    gateway = Gateway(
        language_model, interface, defenses, Ledger(), accounts, seed=seed, batch_size=batch_size, window=1024
    )
    served = 0

    def respond(requests: Sequence[Request]) -> list[Reply]:
        nonlocal served
        calls = []
        for request in requests:
            name = f"honest-{served // EACH:06d}"
            accounts.setdefault(name, Account(name))
            calls.append(Call(request, name, float(served), purpose="cover"))
            served += 1
        return [exchange.reply for exchange in gateway.serve(calls)]

    return respond
