from collections import Counter

import pytest
from campaigning import TASKS, asked, campaign

from attacks.pool import Pool
from attacks.relayed import KeepWanted, Relayed
from spiritsafe.errors import UserError


def test_users_ask_everything_but_harm_whatever_the_attacker_wants():
    first, second = (asked(Relayed(TASKS, {name: 1}, 0, 60), 60) for name in ("programs", "facts"))
    assert first == second
    drawn = Counter(task for task, *_ in first)
    assert drawn.keys() == {task.name for task in TASKS} - {"restricted"}
    assert max(drawn.values()) - min(drawn.values()) <= 2


def test_traffic_can_be_given_and_equals_a_plain_pool_of_it():
    traffic = {"programs": 3, "restricted": 1}
    assert asked(Relayed(TASKS, {"programs": 1}, 0, 20, traffic), 9, 11) == asked(Pool(TASKS, traffic, 0, 20), 20)


def test_only_what_is_wanted_is_kept(tiny, tmp_path):
    exchanges = campaign(tiny, tmp_path, Relayed(TASKS, {"programs": 1}, 0, 24))
    kept = KeepWanted({"programs": 1, "facts": 0}).clean(exchanges)
    assert 0 < len(kept) < len(exchanges) == 24
    assert kept == [each for each in exchanges if each.task == "programs"]
    assert KeepWanted({"programs": 1}).clean([]) == []


@pytest.mark.parametrize(
    ("weights", "traffic"), [({"restricted": 1}, None), ({}, None), ({"programs": 1}, {"programs": 0, "facts": 1})]
)
def test_wanting_what_nobody_asks_is_refused(weights, traffic):
    with pytest.raises(UserError, match=r"attack\.source\.weights"):
        Relayed(TASKS, weights, 0, 8, traffic)


def test_keeping_nothing_is_refused():
    with pytest.raises(UserError, match="one positive weight"):
        KeepWanted({"programs": 0})
