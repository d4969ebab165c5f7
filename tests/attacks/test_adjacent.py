import pytest
from campaigning import TASKS, asked

from attacks.adjacent import Adjacent, halves
from attacks.pool import Pool
from spiritsafe.errors import UserError
from spiritsafe.task import Kind
from spiritsafe.tasks.programs import Programs

WANTED = {"programs": 1}


def names(distance: int) -> set[str]:
    return {task for task, *_ in asked(Adjacent(TASKS, WANTED, 0, 40, distance), 40)}


def test_distance_zero_is_the_plain_pool_and_one_its_easy_level():
    assert asked(Adjacent(TASKS, WANTED, 0, 30, 0), 30) == asked(Pool(TASKS, WANTED, 0, 30), 30)
    prompts = Adjacent(TASKS, WANTED, 0, 30, 1).propose(30)
    assert {(prompt.task.name, prompt.item.level) for prompt in prompts} == {("programs", "easy")}
    assert next(task for task in TASKS if task.name == "programs").level == "hard"


def test_the_other_capabilities_are_parted_into_near_and_far():
    capable = {task.name for task in TASKS if task.kind is Kind.CAPABILITY}
    assert names(2) | names(3) == capable - {"programs"}
    assert not names(2) & names(3)
    assert len(names(2)) == len(names(3)) == 2


def test_nearness_is_that_of_words():
    by_name = {task.name: task for task in TASKS}
    near, far = halves([by_name["facts"]], TASKS, 64, 0)
    assert near[0].name == "tools"  # both ask for the this of the that of somebody
    assert {task.name for task in near + far} == {"arithmetic", "programs", "tools", "recipes"}


@pytest.mark.parametrize("distance", range(4))
def test_smaller_campaigns_are_prefixes(distance):
    whole = asked(Adjacent(TASKS, WANTED, 0, 40, distance), 40)
    assert asked(Adjacent(TASKS, WANTED, 0, 15, distance), 6, 9) == whole[:15]


def test_distances_that_cannot_be_are_refused():
    for distance, tasks, remedy in (
        (4, TASKS, "distance 0 to 3"),
        (1, [Programs(level="easy")], "distance to 0, 2 or 3"),
        (2, [Programs()], "distance to 0 or 1"),
    ):
        with pytest.raises(UserError, match=remedy):
            Adjacent(tasks, WANTED, 0, 8, distance)
    with pytest.raises(UserError, match="positive weight"):
        Adjacent(TASKS, {}, 0, 8)
