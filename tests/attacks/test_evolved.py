from random import Random

import pytest
from campaigning import TASKS, asked, campaign, workshop

from attacks.evolved import Evolved, crossed
from attacks.pool import Pool
from attacks.wording import normalised, question
from spiritsafe.attack import equipped
from spiritsafe.errors import UserError
from spiritsafe.tasks.programs import Programs

WEIGHTS = {"programs": 1, "tools": 1}


def test_two_texts_cross_where_they_share_a_word():
    children = {crossed("a b c b d", "x b y", Random(seed)) for seed in range(40)}
    assert children == {"a b y", "a b c b y"}
    assert crossed("a b", "c d", Random(0)) == ""


@pytest.mark.parametrize("name", [task.name for task in TASKS])
def test_questions_are_new_well_formed_and_never_the_same(name):
    prompts = Evolved(TASKS, {name: 1}, 0, 60, seeds=64).propose(60)
    seeds = [question(prompt.item.messages) for prompt in Pool(TASKS, {name: 1}, 0, 64).propose(64)]
    texts = [question(prompt.item.messages) for prompt in prompts]
    assert len({normalised(text) for text in texts} - {normalised(text) for text in seeds}) == 60
    assert {word for text in texts for word in text.split()} <= {word for text in seeds for word in text.split()}
    assert {text.split()[0] for text in texts} <= {text.split()[0] for text in seeds}
    assert len({prompt.item.id for prompt in prompts}) == 60
    assert {prompt.item.answer for prompt in prompts} == {""}


def test_campaigns_are_prefixes_however_they_are_asked_for():
    whole = asked(Evolved(TASKS, WEIGHTS, 0, 60), 60)
    assert asked(Evolved(TASKS, WEIGHTS, 0, 30), 1, 7, 22) == whole[:30]
    assert asked(Evolved(TASKS, WEIGHTS, 1, 30), 30) != whole[:30]


def test_it_runs_dry_rather_than_repeat_itself():
    few, again = (Evolved([Programs()], {"programs": 1}, 0, 2000, seeds=3) for _ in range(2))
    born = asked(few, 2000)
    assert 0 < len(born) < 2000
    assert few.propose(10) == []
    assert asked(again, *[7] * 300) == born


def test_a_model_at_home_can_write_and_every_task_can_hear_the_replies(tiny, tmp_path):
    exchanges = campaign(tiny, tmp_path, Evolved(TASKS, WEIGHTS, 0, 16, writer="model", max_tokens=6), exchanges=16)
    assert len(exchanges) == 16
    source = Evolved(TASKS, WEIGHTS, 0, 8, writer="model", max_tokens=6)
    equipped(source, workshop(tiny))
    first = asked(source, 2, 3)
    again = Evolved(TASKS, WEIGHTS, 0, 8, writer="model", max_tokens=6)
    equipped(again, workshop(tiny))
    assert asked(again, 5) == first


def test_options_that_cannot_be_are_refused():
    for options in ({"writer": "luck"}, {"seeds": 1}, {"shown": 0}):
        with pytest.raises(UserError, match=r"attack\.source"):
            Evolved(TASKS, WEIGHTS, 0, 8, **options)
    with pytest.raises(UserError, match="use rules"):
        Evolved(TASKS, WEIGHTS, 0, 8, writer="model").propose(1)
