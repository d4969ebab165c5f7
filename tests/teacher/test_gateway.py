import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import tiny

from spiritsafe.account import Account
from spiritsafe.budget import Budget, Spend
from spiritsafe.defense import ALLOW, Decision, Defense
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Exchange, Message, Outcome, Reply, Request, Sampling
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger
from teacher.sampler import Sampler

OPEN = Interface(samples=8, top_logprobs=5, scoring=True, prefill=True)


def calls(count: int, accounts: int = 2, samples: int = 1, max_tokens: int = 12) -> list[Call]:
    return [
        Call(
            Request(f"r{i}", (Message("user", f"item {i}"),), Sampling(max_tokens=max_tokens), samples),
            account=f"a{i % accounts}",
            time=float(i),
            task="arithmetic",
            item=f"i{i}",
            turn=i % 3,
        )
        for i in range(count)
    ]


def gateway(
    language_model: LanguageModel,
    *defenses: Defense,
    budget: Budget | None = None,
    interface: Interface = OPEN,
    **options,
) -> Gateway:
    accounts = {f"a{i}": Account(f"a{i}") for i in range(4)}
    return Gateway(language_model, interface, defenses, Ledger(budget), accounts, **options)


@dataclass
class Log(Defense):
    """Writes down what every hook is given; stateful on purpose."""

    windows: list[list[str]] = field(default_factory=list)
    admitted: list[tuple[str, float, int]] = field(default_factory=list)

    def admit(self, request: Request, account: Account) -> Decision:
        self.admitted.append((request.id, account.time, account.exchanges))
        return ALLOW

    def observe(self, exchanges: Sequence[Exchange], accounts: dict[str, Account]) -> None:
        self.windows.append([exchange.request.id for exchange in exchanges])
        accounts["a0"].risk = len(self.windows) / 100


@dataclass
class Limit(Defense):
    exchanges: int
    outcome: Outcome = Outcome.THROTTLED

    def admit(self, request: Request, account: Account) -> Decision:
        if account.exchanges + request.samples <= self.exchanges:
            return ALLOW
        return Decision(self.outcome, "enough")


def test_without_defenses_it_is_the_sampler(llama: LanguageModel) -> None:
    asked = calls(9, samples=2)
    exchanges = gateway(llama, seed=5).serve(asked)
    replies = Sampler(llama, seed=5).respond([call.request for call in asked])
    assert [exchange.reply for exchange in exchanges] == replies
    first = exchanges[3]
    assert (first.request, first.account, first.time, first.sample) == (asked[1].request, "a1", 1.0, 1)
    assert (first.task, first.item, first.turn, first.purpose) == ("arithmetic", "i1", 1, "harvest")


def test_ledger_and_accounts_count_what_was_served(llama: LanguageModel) -> None:
    gate = gateway(llama)
    exchanges = gate.serve(calls(7, samples=3))
    usage = [exchange.reply.usage for exchange in exchanges]
    total = sum(u.completion_tokens for u in usage)
    assert gate.ledger.spend == Spend(21, sum(u.prompt_tokens for u in usage), total, 2)
    assert gate.accounts["a0"].exchanges == 12
    assert gate.accounts["a0"].tokens + gate.accounts["a1"].tokens == total
    assert not gate.spent


@pytest.mark.parametrize(("limit", "samples"), [(5, 1), (5, 2), (20, 2), (21, 2)])
def test_it_stops_at_the_exchange_budget_exactly(llama: LanguageModel, limit: int, samples: int) -> None:
    gate, free = gateway(llama, budget=Budget((limit,))), gateway(llama)
    exchanges = gate.serve(calls(10, samples=samples))
    assert exchanges == free.serve(calls(10, samples=samples))[:limit]
    assert gate.ledger.spend.exchanges == len(exchanges) == min(limit, 10 * samples)
    assert gate.spent == (limit <= 10 * samples)
    assert gate.spent == (gate.serve(calls(1)) == [])


def test_it_stops_at_the_account_budget(llama: LanguageModel) -> None:
    gate = gateway(llama, budget=Budget((100,), accounts=2))
    assert [exchange.account for exchange in gate.serve(calls(9, accounts=3))] == ["a0", "a1"]
    assert gate.spent


@pytest.mark.parametrize("limit", [1, 30, 77, 100])
@pytest.mark.parametrize("window", [3, 64])
def test_it_stops_at_the_token_budget_exactly_whatever_the_window(
    llama: LanguageModel, limit: int, window: int
) -> None:
    asked = calls(30, samples=2)
    free = gateway(llama).serve(asked)
    gate = gateway(llama, budget=Budget((1000,), completion_tokens=limit), window=window)
    exchanges = gate.serve(asked)
    assert gate.ledger.spend.completion_tokens == limit
    assert gate.spent
    assert exchanges[:-1] == free[: len(exchanges) - 1]
    last, whole = exchanges[-1].reply, free[len(exchanges) - 1].reply
    assert last.token_ids == whole.token_ids[: len(last.token_ids)]


def test_blocked_calls_are_exchanges_without_tokens(llama: LanguageModel) -> None:
    gate = gateway(llama, Limit(2), budget=Budget((8,)))
    exchanges = gate.serve(calls(10))
    assert [exchange.reply.outcome for exchange in exchanges] == [Outcome.ANSWERED] * 4 + [Outcome.THROTTLED] * 4
    blocked = exchanges[-1].reply
    assert (blocked.reason, blocked.text, blocked.usage.completion_tokens) == ("enough", "", 0)
    assert blocked.usage.prompt_tokens == len(llama.prompt_ids(exchanges[-1].request.messages))
    assert gate.ledger.spend.exchanges == 8
    assert gate.accounts["a0"].exchanges == 2, "an account's allowance is used by what was let in"


def test_a_ban_is_for_good_and_the_first_refusal_wins(llama: LanguageModel) -> None:
    log = Log()
    gate = gateway(llama, Limit(1, Outcome.BANNED), log, Limit(0, Outcome.REFUSED))
    outcomes = [exchange.reply.outcome for exchange in gate.serve(calls(3, accounts=1, samples=2))]
    assert outcomes == [Outcome.BANNED] * 3
    assert gate.accounts["a0"].banned
    assert log.admitted == []
    gate = gateway(llama, log, Limit(0, Outcome.REFUSED), Limit(0, Outcome.BANNED))
    assert gate.serve(calls(1))[0].reply.outcome is Outcome.REFUSED
    assert log.admitted == [("r0", 0.0, 0)]


def test_hooks_run_in_simulated_time_order(llama: LanguageModel) -> None:
    log = Log()
    asked = random.Random(0).sample(calls(9), 9)
    exchanges = gateway(llama, log, window=4).serve(asked)
    assert [exchange.time for exchange in exchanges] == [float(i) for i in range(9)]
    assert log.admitted == [(f"r{i}", float(i), i // 2) for i in range(9)]
    assert log.windows == [["r0", "r1", "r2", "r3"], ["r4", "r5", "r6", "r7"]]


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=6), st.integers(1, 5), st.sampled_from([1, 7, 64]), st.integers(1, 3))
def test_cuts_and_batch_sizes_change_nothing(
    llama: LanguageModel, cuts: list[int], window: int, batch_size: int, samples: int
) -> None:
    asked = calls(12, samples=samples, max_tokens=5)
    log, cut_log = Log(), Log()
    whole = gateway(llama, log, Limit(5), budget=Budget((25,)), window=window)
    cut = gateway(llama, cut_log, Limit(5), budget=Budget((25,)), window=window, batch_size=batch_size)
    expected, served, start = whole.serve(asked), [], 0
    for end in [*sorted(cuts), 12]:
        served += cut.serve(asked[start:end])
        start = max(start, end)
    assert served == expected
    assert (cut_log, cut.accounts, cut.ledger.spend, cut.spent) == (
        log,
        whole.accounts,
        whole.ledger.spend,
        whole.spent,
    )


def test_replay_leaves_what_serving_left(llama: LanguageModel) -> None:
    asked = calls(40, samples=2, max_tokens=5)
    budget = Budget((50,), completion_tokens=200)
    straight, first, second = (gateway(llama, Log(), Limit(14), budget=budget, window=8) for _ in range(3))
    expected = straight.serve(asked)
    kept = first.serve(asked[:9])
    second.replay(kept)
    assert (second.accounts, second.ledger.spend) == (first.accounts, first.ledger.spend)
    assert second.defenses[0].windows == first.defenses[0].windows
    assert kept + second.serve(asked[9:]) == expected
    assert (second.accounts, second.ledger.spend) == (straight.accounts, straight.ledger.spend)
    assert second.spent
    assert straight.spent


@dataclass
class Visits(Defense):
    """Refuses an account's every third call, by a count of its own that only the hooks can rebuild."""

    seen: dict[str, int] = field(default_factory=dict)

    def admit(self, request: Request, account: Account) -> Decision:
        self.seen[account.id] = self.seen.get(account.id, 0) + 1
        return ALLOW if self.seen[account.id] % 3 else Decision(Outcome.REFUSED, "third", seconds=2.0)

    def randomness(self, request: Request, account: Account) -> str:
        return f"visit {self.seen[account.id]}"


def test_replay_decides_again_so_that_a_defense_may_count(llama: LanguageModel) -> None:
    asked = calls(30, max_tokens=4)
    straight, first, second = (gateway(llama, Visits(), window=8) for _ in range(3))
    expected = straight.serve(asked)
    second.replay(first.serve(asked[:13]))
    assert second.defenses[0].seen == first.defenses[0].seen
    assert expected[13:] == second.serve(asked[13:])
    assert second.accounts == straight.accounts
    assert sum(account.work for account in straight.accounts.values()) == 2.0 * 10


def test_samples_of_one_prompt_and_visit_are_shared_across_accounts(llama: LanguageModel) -> None:
    """What `randomness` names replaces the request id: two accounts with one name draw the same tokens."""
    same = (Message("user", "item"),)
    asked = [Call(Request(f"r{i}", same, Sampling(max_tokens=9)), f"a{i % 2}", float(i)) for i in range(4)]
    replies = [exchange.reply.token_ids for exchange in gateway(llama, Visits()).serve(asked)]
    assert replies[0] == replies[1] != replies[2] == replies[3]


@dataclass
class Together(Defense):
    """Rewrites a batch at once and says how many there were."""

    batches: list[int] = field(default_factory=list)

    def rewrite_replies(self, requests: Sequence[Request], replies: Sequence[Reply]) -> list[Reply]:
        self.batches.append(len(replies))
        return [
            replace(reply, text=f"{request.messages[-1].content}: {reply.text}")
            for request, reply in zip(requests, replies, strict=True)
        ]


def test_replies_may_be_rewritten_together(llama: LanguageModel) -> None:
    together = Together()
    served = gateway(llama, together, window=8).serve(calls(20, max_tokens=4))
    assert together.batches == [8, 8, 4]
    assert all(exchange.reply.text.startswith(f"item {i}: ") for i, exchange in enumerate(served))


@dataclass
class Suspect(Defense):
    """Thinks ill of one request, and writes down the risks that the sampler hears of."""

    heard: list[float] = field(default_factory=list)

    def rewrite_request(self, request: Request) -> Request:
        return replace(request, risk=max(request.risk, 0.75 if request.id == "r2" else 0.0))

    def sample_logits(self, logits, rows):
        self.heard += rows.risk.tolist()
        return logits


def test_a_request_carries_a_risk_that_only_defenses_set(llama: LanguageModel) -> None:
    suspect = Suspect()
    asked = [replace(call, request=replace(call.request, risk=0.9)) for call in calls(4, max_tokens=1)]
    gateway(llama, suspect).serve(asked)
    assert sorted(suspect.heard) == [0, 0, 0, 0.75]


@dataclass
class Substitute(Defense):
    model: LanguageModel

    def substitute(self, teacher: LanguageModel) -> LanguageModel:
        return self.model


def test_a_substitute_answers_in_the_teachers_place(llama: LanguageModel) -> None:
    asked, qwen2 = calls(5), tiny("qwen2")
    replies = [exchange.reply for exchange in gateway(llama, Substitute(qwen2)).serve(asked)]
    assert replies == [exchange.reply for exchange in gateway(qwen2).serve(asked)]
    assert replies != [exchange.reply for exchange in gateway(llama).serve(asked)]


@dataclass
class Raise(Defense):
    on: str
    hook: str

    def admit(self, request: Request, account: Account) -> Decision:
        return self._maybe("admit", request, ALLOW)

    def rewrite_request(self, request: Request) -> Request:
        return self._maybe("rewrite_request", request, request)

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        return self._maybe("rewrite_reply", request, reply)

    def _maybe(self, hook: str, request: Request, result):
        if (hook, request.id) == (self.hook, self.on):
            raise RuntimeError("broken")
        return result


@pytest.mark.parametrize("hook", ["admit", "rewrite_request", "rewrite_reply"])
def test_a_defense_that_raises_leaves_the_ledger_as_it_was(llama: LanguageModel, hook: str) -> None:
    defense = Raise("r6", hook)
    gate = gateway(llama, defense, budget=Budget((14,), completion_tokens=10_000))
    gate.serve(calls(4, samples=2))
    before = deepcopy((gate.ledger.spend, gate.accounts["a0"].exchanges, gate.accounts["a1"].tokens))
    with pytest.raises(RuntimeError, match="broken"):
        gate.serve(calls(9, samples=2)[4:])
    assert (gate.ledger.spend, gate.accounts["a0"].exchanges, gate.accounts["a1"].tokens) == before
    defense.on = ""
    assert len(gate.serve(calls(9, samples=2)[4:])) == 6


@dataclass
class Rewrite(Defense):
    mark: str

    def rewrite_request(self, request: Request) -> Request:
        return replace(request, messages=(*request.messages, Message("user", self.mark)))

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        return replace(reply, text=reply.text + self.mark + request.messages[-1].content, usage=replace(reply.usage))

    def randomness(self, request: Request, account: Account) -> str | None:
        return {"x": None, "y": "shared", "z": "late"}[self.mark]


def test_rewriting_stacks_in_order_and_billing_stays(llama: LanguageModel) -> None:
    asked = calls(1)
    exchange = gateway(llama, Rewrite("x"), Rewrite("y"), Rewrite("z")).serve(asked)[0]
    messages = (*asked[0].request.messages, *(Message("user", mark) for mark in "xyz"))
    seen = Request("shared", messages, asked[0].request.sampling)
    raw = Sampler(llama).respond([seen])[0]
    assert exchange.request == asked[0].request
    assert exchange.reply == replace(raw, text=raw.text + "xzyzzz")


def test_hidden_reasoning_is_hidden_and_billed(llama: LanguageModel) -> None:
    request = Request("r", (Message("user", "hi"),), Sampling(max_tokens=20), 4, 2, f"{THINK}ab{END_THINK}the")
    hidden = gateway(llama, interface=replace(OPEN, reasoning="hidden")).serve([Call(request, "a0", 0.0)])
    shown = gateway(llama).serve([Call(request, "a0", 0.0)])
    assert [exchange.reply for exchange in hidden] == [exchange.reply.without_reasoning() for exchange in shown]
    assert all(exchange.reply.reasoning == "ab" for exchange in shown)
    assert all(THINK not in llama.decode(exchange.reply.token_ids) for exchange in hidden)


def test_what_cannot_be_asked_is_refused_before_anything_is_spent(llama: LanguageModel) -> None:
    gate = gateway(llama, interface=Interface())
    good = calls(1)[0]
    bad = replace(good, request=replace(good.request, top_logprobs=5))
    stranger = replace(good, account="nobody")
    for call, message in ((bad, "top_logprobs=5"), (stranger, "'nobody'")):
        with pytest.raises(UserError, match=message):
            gate.serve([good, call])
    assert gate.ledger.spend == Spend()


def test_a_bias_is_offered_for_so_many_tokens_and_so_much(llama: LanguageModel) -> None:
    gate = gateway(llama, interface=replace(OPEN, logit_bias=2))
    ask = calls(1)[0]

    def biased(*bias: tuple[int, float]) -> Call:
        return replace(ask, request=replace(ask.request, logit_bias=bias))

    assert gate.serve([biased((9, 100.0))])[0].reply.token_ids == (9,) * 12
    for call in (biased((9, 100.5)), biased((8, 1.0), (9, -101.0)), biased((9, float("nan")))):
        with pytest.raises(UserError, match=r"logit_bias beyond ±100"):
            gate.serve([call])
    with pytest.raises(UserError, match=r"set interface\.logit_bias=3"):
        gate.serve([biased((7, 1.0), (8, 1.0), (9, 1.0))])
    with pytest.raises(UserError, match=r"bias 0 tokens, 1 were asked for"):
        gateway(llama, interface=Interface()).serve([biased((9, 1.0))])


def test_scoring_spends_an_exchange_and_no_completion_tokens(llama: LanguageModel) -> None:
    gate = gateway(llama, budget=Budget((9,), completion_tokens=3))
    request = Request("s", (Message("user", "hi"),), score="the cat sat on it")
    exchange = gate.serve([Call(request, "a0", 0.0, purpose="score")])[0]
    assert len(exchange.reply.logprobs.chosen) == len(llama.completion_ids(request.score))
    assert gate.ledger.spend.completion_tokens == 0
    assert gate.ledger.spend.exchanges == 1
