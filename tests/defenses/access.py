"""A gateway in front of a tiny teacher, and calls to it."""

from spiritsafe.account import Account
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

OPEN = Interface(samples=8, top_logprobs=64, scoring=True, prefill=True)


def gateway(teacher, *defenses, accounts=4, **options):
    known = {f"a{index}": Account(f"a{index}") for index in range(accounts)}
    return Gateway(teacher, OPEN, defenses, Ledger(), known, **options)


def calls(texts, accounts=1, samples=1, max_tokens=4, every=1.0):
    """One text a call, the accounts in turn, ``every`` so many simulated seconds."""
    return [
        Call(
            Request(f"r{index}", (Message("user", text),), Sampling(max_tokens=max_tokens), samples),
            account=f"a{index % accounts}",
            time=every * index,
        )
        for index, text in enumerate(texts)
    ]


def outcomes(exchanges):
    return [str(exchange.reply.outcome) for exchange in exchanges]


def resumed(teacher, build, asked, cut, **options):
    """Serve ``asked`` at once, and again with a new gateway that takes over after ``cut`` calls; both must agree.

    ``build`` makes fresh, prepared defenses."""
    straight, first, second = (gateway(teacher, *build(), **options) for _ in range(3))
    expected = straight.serve(asked)
    kept = first.serve(asked[:cut])
    second.replay(kept)
    assert second.accounts == first.accounts
    assert kept + second.serve(asked[cut:]) == expected
    assert second.accounts == straight.accounts
    return expected
