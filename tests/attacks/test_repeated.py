from functools import partial
from itertools import groupby

import pytest

from attacks.pool import Pool
from attacks.repeated import Repeated
from spiritsafe.errors import UserError
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Recipes

GIVEN = {"tasks": [Programs(), Recipes()], "seed": 0, "size": 40}
POOL = partial(Pool, weights={"programs": 1, "recipes": 1})


def asked(source, *counts):
    return [(prompt.task.name, prompt.item.id) for count in counts for prompt in source.propose(count)]


@pytest.mark.parametrize("times", [1, 2, 3])
def test_every_question_of_the_source_is_asked_so_often_in_its_order(times):
    found = asked(Repeated(POOL, times, **GIVEN), 7, 5, 18)
    runs = [(name, len(list(group))) for name, group in groupby(found)]
    assert [name for name, _ in runs] == asked(POOL(**GIVEN), 30 // times + (30 % times > 0))
    assert {count for _, count in runs[:-1]} == {times}


def test_cuts_do_not_matter():
    assert asked(Repeated(POOL, 3, **GIVEN), 1, 1, 9, 4) == asked(Repeated(POOL, 3, **GIVEN), 15)


def test_less_than_once_is_refused():
    with pytest.raises(UserError, match=r"set attack\.source\.times"):
        Repeated(POOL, 0, **GIVEN)
