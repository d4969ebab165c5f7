import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.budget import Budget, BudgetSpent, Spend
from spiritsafe.exchange import Usage
from teacher.ledger import Ledger

budgets = st.builds(
    Budget,
    st.integers(1, 30).map(lambda exchanges: (exchanges,)),
    st.none() | st.integers(1, 200),
    st.none() | st.integers(1, 4),
)
calls = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 20), st.integers(0, 20)), max_size=60)


@given(budgets, calls)
def test_one_at_a_time_the_budget_is_met_and_never_passed(budget: Budget, calls: list[tuple[str, int, int]]) -> None:
    ledger, expected, accounts = Ledger(budget), [0, 0, 0], set()
    for account, most, used in calls:
        left = None if budget.completion_tokens is None else budget.completion_tokens - expected[2]
        spent = (
            expected[0] == budget.exchanges
            or (left == 0 and most > 0)
            or (budget.accounts is not None and account not in accounts and len(accounts) == budget.accounts)
        )
        if spent:
            with pytest.raises(BudgetSpent):
                ledger.reserve(account, most)
            continue
        reservation = ledger.reserve(account, most)
        assert reservation is not None
        assert reservation.max_tokens == (most if left is None else min(most, left))
        usage = Usage(7, min(used, reservation.max_tokens))
        ledger.settle(reservation, usage)
        accounts.add(account)
        expected = [expected[0] + 1, expected[1] + 7, expected[2] + usage.completion_tokens]
        assert ledger.spend == Spend(*expected, len(accounts))
    assert ledger.exhausted == (expected[0] == budget.exchanges or expected[2] == budget.completion_tokens)


@given(budgets, calls, st.randoms(use_true_random=False))
def test_calls_under_way_can_never_pass_the_budget(budget, calls, rng) -> None:
    ledger, under_way = Ledger(budget), []
    for account, most, used in calls:
        try:
            reservation = ledger.reserve(account, most)
        except BudgetSpent:
            continue
        if reservation:
            under_way.append((reservation, used))
        assert len(under_way) + ledger.spend.exchanges <= budget.exchanges
        if budget.completion_tokens is not None:
            promised = sum(reservation.max_tokens for reservation, _ in under_way)
            assert promised + ledger.spend.completion_tokens <= budget.completion_tokens
        if under_way and rng.random() < 0.5:
            reservation, used = under_way.pop(rng.randrange(len(under_way)))
            if rng.random() < 0.3:
                ledger.release(reservation)
            else:
                ledger.settle(reservation, Usage(1, min(used, reservation.max_tokens)))
    assert budget.accounts is None or ledger.spend.accounts <= budget.accounts


def test_what_is_released_was_never_spent() -> None:
    ledger = Ledger(Budget((1,), completion_tokens=5, accounts=1))
    ledger.release(ledger.reserve("a", 5))
    assert ledger.spend == Spend()
    reservation = ledger.reserve("b", 9)
    assert reservation.max_tokens == 5
    ledger.settle(reservation, Usage(3, 5))
    assert ledger.spend == Spend(1, 3, 5, 1)
    for close in (ledger.release, lambda again: ledger.settle(again, Usage())):
        with pytest.raises(KeyError):
            close(reservation)
    assert ledger.spend == Spend(1, 3, 5, 1)


def test_more_than_was_reserved_cannot_be_settled() -> None:
    ledger = Ledger()
    reservation = ledger.reserve("a", 5)
    with pytest.raises(ValueError, match="6 tokens"):
        ledger.settle(reservation, Usage(0, 6))


def test_a_call_waits_while_others_hold_what_it_may_need() -> None:
    ledger = Ledger(Budget((10,), completion_tokens=10))
    first = ledger.reserve("a", 8)
    assert ledger.reserve("a", 8) is None
    ledger.settle(first, Usage(0, 1))
    assert ledger.reserve("a", 8).max_tokens == 8


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 60), st.integers(1, 300), st.integers(1, 5))
def test_threads_share_a_ledger(exchanges: int, tokens: int, accounts: int) -> None:
    ledger = Ledger(Budget((exchanges,), completion_tokens=tokens, accounts=accounts))
    settled: list[tuple[str, Usage]] = []

    def work(worker: int) -> None:
        for i in range(200):
            try:
                reservation = ledger.reserve(f"{(worker + i) % 7}", 1 + i % 9)
            except BudgetSpent:
                continue
            if reservation is None:
                continue
            if i % 5 == 0:
                ledger.release(reservation)
                continue
            usage = Usage(1, reservation.max_tokens - i % 2)
            ledger.settle(reservation, usage)
            settled.append((reservation.account, usage))

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spend = ledger.spend
    completion = sum(usage.completion_tokens for _, usage in settled)
    assert spend == Spend(len(settled), len(settled), completion, len({account for account, _ in settled}))
    assert spend.exchanges <= exchanges
    assert spend.completion_tokens <= tokens
    assert spend.accounts <= accounts
