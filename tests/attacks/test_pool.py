from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.pool import Pool
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Reply
from spiritsafe.task import Behaviour, Item, Kind, Score, Split


class Numbers:
    """A task of numbered prompts, as many as asked for or at most ``most``."""

    kind = Kind.CAPABILITY
    force = ""

    def __init__(self, name: str, most: int = 10**6):
        self.name, self.most = name, most

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        return [
            Item(f"{self.name}-{split}-{seed}-{n}", (Message("user", str(n)),), str(n), ())
            for n in range(min(count, self.most))
        ]

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        return None

    def score(self, item: Item, replies: Sequence[Reply]) -> Score:
        return Score(True, True, True, Behaviour.COMPLY)


TASKS = [Numbers("a"), Numbers("b"), Numbers("c")]
weights = st.fixed_dictionaries({name: st.sampled_from([0.5, 1, 2, 7]) for name in "abc"})
seeds = st.integers(0, 1000)


def asked(pool: Pool, *counts: int) -> list[tuple[str, str]]:
    return [(prompt.task.name, prompt.item.id) for count in counts for prompt in pool.propose(count)]


@given(weights, seeds, st.integers(0, 60), st.integers(0, 60))
def test_campaigns_are_prefixes_of_longer_ones(weights, seed, first, second):
    whole = asked(Pool(TASKS, weights, seed, size=300), 120)
    assert asked(Pool(TASKS, weights, seed, size=120), first, second) == whole[: first + second]


@given(weights, seeds, st.integers(1, 200))
def test_every_prefix_keeps_the_weights(weights, seed, count):
    drawn = Counter(task for task, _ in asked(Pool(TASKS, weights, seed, size=200), count))
    for name, weight in weights.items():
        assert abs(drawn[name] - count * weight / sum(weights.values())) <= len(weights) + 1


@given(weights, seeds)
def test_nothing_is_asked_twice_within_the_pool(weights, seed):
    prompts = asked(Pool(TASKS, weights, seed, size=150), 150)
    assert len(set(prompts)) == len(prompts) == 150


def test_seeds_change_the_order_and_the_items_come_from_the_pool_split():
    first, second = (asked(Pool(TASKS, {"a": 1, "b": 1}, seed, size=50), 50) for seed in (0, 1))
    assert [task for task, _ in first] != [task for task, _ in second]
    assert all(item.startswith(f"{task}-pool-0-") for task, item in first)


def test_an_exhausted_task_begins_again():
    prompts = asked(Pool([Numbers("a", most=3)], {"a": 1}, seed=0, size=9), 9)
    assert prompts[:3] == prompts[3:6] == prompts[6:]
    assert len(set(prompts)) == 3


def test_weight_zero_is_never_asked():
    assert {task for task, _ in asked(Pool(TASKS, {"a": 1, "b": 0}, 0, size=50), 50)} == {"a"}


@pytest.mark.parametrize(
    ("tasks", "weights", "size", "remedy"),
    [
        (TASKS, {"a": 1, "nonsense": 1}, 10, "targets nonsense.*weights over a, b, c"),
        (TASKS, {"a": 0}, 10, "one positive weight"),
        (TASKS, {}, 10, "one positive weight"),
        (TASKS, {"a": 1, "b": -1}, 10, "positive weight"),
        (TASKS, {"a": 1}, 0, "size to 1 or more"),
        ([Numbers("a", most=0)], {"a": 1}, 10, "task a has no prompts"),
    ],
)
def test_a_pool_that_cannot_be_is_refused_at_once(tasks, weights, size, remedy):
    with pytest.raises(UserError, match=remedy):
        Pool(tasks, weights, seed=0, size=size)
