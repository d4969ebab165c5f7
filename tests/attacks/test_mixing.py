from collections import Counter
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attacks.drop_cover import DropCover
from attacks.mixing import Mixed
from attacks.pool import Pool
from attacks.sybil import Sybil
from spiritsafe.attack import Prompt
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Recipes

TASKS = [Programs(), Recipes(), Facts()]
WANTED, COVER = {"programs": 1}, {"recipes": 1, "facts": 1}


def mixed(benign: float = 0.3, seed: int = 0, size: int = 60, wanted=WANTED, cover=COVER) -> Mixed:
    return Mixed(partial(Pool, weights=wanted), cover, TASKS, seed, size, benign=benign)


def names(prompts: list[Prompt]) -> list[tuple[str, str]]:
    return [(prompt.task.name, prompt.item.id) for prompt in prompts]


def test_the_share_of_cover_is_what_was_asked_for_each_account_too():
    prompts = mixed(0.5).propose(3000)
    counts = Counter(prompt.task.name for prompt in prompts)
    assert counts["programs"] / 3000 == pytest.approx(0.5, abs=0.04)
    assert counts["recipes"] == pytest.approx(counts["facts"], abs=2)
    pool = Sybil(2)
    accounts = [pool.assign(Request("r", ()), index)[0] for index in range(3000)]
    for account in {*accounts}:
        mine = [prompt.task.name for prompt, asker in zip(prompts, accounts, strict=True) if asker == account]
        assert mine.count("programs") / len(mine) == pytest.approx(0.5, abs=0.06)


@given(st.lists(st.integers(0, 9), max_size=6), st.sampled_from([0.0, 0.2, 0.7]), st.integers(0, 3))
@settings(max_examples=20, deadline=None)
def test_campaigns_are_prefixes_whatever_their_windows(windows, benign, seed):
    source = mixed(benign, seed)
    taken = [name for count in windows for name in names(source.propose(count))]
    assert taken == names(mixed(benign, seed).propose(sum(windows)))


def test_the_wanted_prompts_are_the_sources_own_in_order():
    asked = [prompt for prompt in mixed(0.4).propose(50) if prompt.task.name == "programs"]
    assert names(asked) == names(Pool(TASKS, WANTED, 0, 60).propose(len(asked)))
    assert names(mixed(0.0).propose(20)) == names(Pool(TASKS, WANTED, 0, 60).propose(20))


class Few:
    """Three prompts, and a note of what it is told."""

    def __init__(self, tasks, seed, size):
        self.left, self.heard = Pool(tasks, WANTED, seed, size).propose(3), []

    def propose(self, count: int) -> list[Prompt]:
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def observe(self, exchanges) -> None:
        self.heard += exchanges

    def equip(self, workshop) -> None:
        self.heard.append(workshop)


def test_a_source_that_runs_dry_ends_the_campaign_and_hears_of_its_own_alone():
    source = Mixed(Few, COVER, TASKS, 0, 60, benign=0.5)
    asked = [name for _ in range(9) for name, _ in names(source.propose(2))]
    assert asked.count("programs") == 3
    assert len(asked) < 18
    own = Exchange(Request("r", ()), Reply(Outcome.ANSWERED), "a", 0.0, task="programs")
    source.observe([replace(own, task="facts"), own, replace(own, task="recipes")])
    source.equip("workshop")
    assert source.source.heard == [own, "workshop"]


def test_cover_is_dropped_by_its_task():
    exchanges = [
        Exchange(
            Request(prompt.item.id, (Message("user", "?"),)), Reply(Outcome.ANSWERED), "a", 0.0, 0, prompt.task.name
        )
        for prompt in mixed().propose(40)
    ]
    kept = DropCover(list(COVER)).clean(exchanges)
    assert kept == [exchange for exchange in exchanges if exchange.task == "programs"]
    assert 0 < len(kept) < 40
    assert DropCover(list(COVER)).clean([replace(kept[0], purpose="cover")]) == []
    assert DropCover([]).clean([]) == []


@pytest.mark.parametrize("benign", [-0.1, 1.0])
def test_a_campaign_of_cover_alone_is_refused(benign):
    with pytest.raises(UserError, match=r"attack\.source\.benign"):
        mixed(benign)


def test_what_is_wanted_is_no_cover():
    with pytest.raises(UserError, match="take it out of"):
        mixed(wanted={"programs": 1, "facts": 1}).propose(20)
