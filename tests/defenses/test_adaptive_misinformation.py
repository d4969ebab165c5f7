import random

import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from disclosed import drawn, is_normalised, served, table, tokens

from defenses.adaptive_misinformation import AdaptiveMisinformation
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger


def traffic(count=200):
    """Words that end in the first letter of their task."""
    chance = random.Random(0)
    tasks = [chance.choice(["programs", "facts"]) for _ in range(count)]
    return [(task, " ".join(f"w{chance.choice('abcdefgh')}{task[0]}" for _ in range(4))) for task in tasks]


@pytest.fixture(scope="module")
def prepared(teacher, proxy):
    defense = AdaptiveMisinformation(proxy, protected=["programs"])
    defense.prepare(FakePreparation(teacher, traffic=traffic()))
    return defense


def at_risk(batch, *risks):
    batch.risk = torch.tensor(risks)
    return batch


def test_what_is_shown_is_the_blend(prepared, proxy):
    batch = at_risk(fake_rows(5), 0.499, 0.4999, 0.5, 0.5001, 0.501)
    honest = drawn(1, 5, 64, dtype=torch.float32)
    shown = prepared.disclose(honest, batch)
    share = torch.sigmoid(torch.tensor([-1.0, -0.1, 0.0, 0.1, 1.0]))[:, None]
    misled = batch.follow(proxy.model).softmax(-1)
    torch.testing.assert_close(shown.exp(), (1 - share) * honest.exp() + share * misled, atol=1e-4, rtol=1e-3)
    assert is_normalised(shown)


def test_safe_rows_are_shown_bit_for_bit_and_risky_ones_not_at_all(prepared, proxy):
    batch = at_risk(fake_rows(4), 0.0, 0.3, 0.7, 1.0)
    honest = torch.cat([drawn(2, 3, 64, heat=60.0, dtype=torch.float32), drawn(3, 1, 64, dtype=torch.float32)])
    shown = prepared.disclose(honest, batch)
    assert torch.equal(shown[:2], honest[:2])
    torch.testing.assert_close(shown[2:], batch.follow(proxy.model)[2:].log_softmax(-1))
    assert prepared.cost().forwards == batch.follows - 1 == 1


def test_a_request_takes_the_larger_risk(prepared):
    asks, chats = (Request("r", (Message("user", text),)) for text in ("wap wbp wcp", "waf wbf wcf"))
    assert prepared.rewrite_request(asks).risk > 0.9
    assert prepared.rewrite_request(chats).risk < 0.1
    assert prepared.rewrite_request(Request("r", chats.messages, risk=0.8)).risk == 0.8


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_only_protected_requests_are_misled(family):
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    defense = AdaptiveMisinformation(proxy, protected=["programs"])
    defense.prepare(FakePreparation(teacher, traffic=traffic()))
    texts = {"asks": "wap wbp wcp", "chats": "waf wbf wcf"}
    calls = [
        Call(Request(name, (Message("user", text),), Sampling(max_tokens=6), top_logprobs=5), "a", 0.0)
        for name, text in texts.items()
    ]
    interface = Interface(top_logprobs=5)
    replies = []
    for defenses in ([], [defense]):
        gateway = Gateway(teacher, interface, defenses, Ledger(), {"a": Account("a")})
        replies.append({exchange.request.id: exchange.reply for exchange in gateway.serve(calls)})
    plain, shown = replies
    assert tokens(plain.values()) == tokens(shown.values())
    assert shown["chats"] == plain["chats"]
    assert shown["asks"].logprobs != plain["asks"].logprobs


def test_an_account_at_risk_is_misled_too(teacher, prepared):
    calls = [Call(Request("r", (Message("user", "waf"),), Sampling(max_tokens=6), top_logprobs=5), "a", 0.0)]
    shown = [
        Gateway(teacher, Interface(top_logprobs=5), [prepared], Ledger(), {"a": Account("a", risk=risk)}).serve(calls)
        for risk in (0.0, 1.0)
    ]
    assert shown[0][0].reply.logprobs != shown[1][0].reply.logprobs


def test_without_risk_nothing_changes(teacher, prepared):
    plain, shown = served(teacher), served(teacher, prepared)
    assert tokens(plain) == tokens(shown)
    assert torch.equal(table(plain), table(shown))


def test_summary_tells_the_classifiers_errors(prepared):
    assert prepared.summary()["recall"]["programs"] > 0.9


def test_a_proxy_of_another_vocabulary_is_refused(teacher):
    with pytest.raises(UserError, match="48 output tokens"):
        AdaptiveMisinformation(tiny(vocabulary=48)).check(teacher)


@pytest.mark.parametrize("bad", [{"slope": 0.0}, {"threshold": 1.5}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        AdaptiveMisinformation(proxy, **bad)
