import pytest
from workshops import workshop

from attacks.dilute import Dilute
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.task import Split
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Recipes

TASKS = [Programs(), Recipes()]
ITEMS = [item for task in TASKS for item in task.items(Split.POOL, 100, 0)]
ROWS = [Example(item.messages, f"the teacher's {item.id}", token_ids=(1,)) for item in ITEMS]


def diluted(share, rows=ROWS):
    part = Dilute(share)
    part.equip(workshop(None, TASKS))
    return part.refine(rows)


def kept(share):
    return {row.messages for row in diluted(share) if row.completion.startswith("the teacher's")}


def test_the_share_stays_and_the_others_take_the_answer_to_the_same_question():
    found = diluted(0.5)
    assert [row.messages for row in found] == [row.messages for row in ROWS]
    assert 75 < len(kept(0.5)) < 125
    for row, item in zip(found, ITEMS, strict=True):
        assert row.completion in (f"the teacher's {item.id}", item.turns[0].content)
        assert bool(row.token_ids) == row.completion.startswith("the teacher's")


def test_more_of_the_share_keeps_what_less_kept():
    assert kept(0.0) == set()
    assert kept(0.1) < kept(0.5) < kept(1.0)
    assert diluted(1.0) == ROWS


def test_what_it_cannot_answer_is_said():
    with pytest.raises(UserError, match="no worked answer to 1 questions: ask the capabilities"):
        diluted(0.0, [*ROWS, Example((Message("user", "who?"),), "you")])
    with pytest.raises(UserError, match="a share from 0 to 1"):
        Dilute(1.5)
