from dataclasses import replace
from random import Random

import pytest
from played import campaign, home, said, truth

from attacks.deduplicate import Deduplicate
from attacks.verify import Verify
from spiritsafe.attack import equipped
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome
from spiritsafe.task import Split
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.programs import Programs, execute
from spiritsafe.tasks.recipes import Recipes
from spiritsafe.tasks.tools import Tools

TASKS = [Programs(), Tools(), Recipes(), Facts()]


def verify(of=TASKS, **knobs):
    cleaner = Verify(**knobs)
    equipped(cleaner, home(of))
    return cleaner


def wrong(item, turn=0):
    return said("<think> so </think> answer nonsense")


class Few(Facts):
    """A pool that soon ends."""

    def items(self, split, count, seed=0):
        return super().items(split, min(count, 30), seed)


def test_what_is_true_stays_and_what_is_wrong_goes():
    """Against the task's own word on each single-turn reply, with every other one wrong."""
    tasks = [Programs(), Recipes(), Facts()]
    exchanges = campaign(tasks, 12, lambda item, place, turn: [wrong(item) if place % 2 else truth(item, turn)])
    kept = verify(tasks).clean(exchanges)
    items = {item.id: (task, item) for task in tasks for item in task.items(Split.POOL, 12)}
    assert kept == [e for e in exchanges if items[e.item][0].score(items[e.item][1], [e.reply]).strict]
    assert len(kept) == len(exchanges) // 2


def test_programs_are_executed():
    """Any repair that makes the program print its goal is right, not only the one that was drawn."""
    item = next(i for i in Programs().items(Split.POOL, 200) if i.answer.startswith("d ="))
    *_, last, printing = item.messages[0].content.partition(" => ")[0].split(" ; ")
    goal = int(item.messages[0].content.partition(" => ")[2])
    known = item.messages[0].content[item.messages[0].content.index("a = ") :].partition(f" ; {last}")[0]
    other = next(
        line
        for number in range(200)
        for line in [f"d = a + {number}"]
        if line != item.answer and execute(f"{known} ; {line} ; {printing}") == goal
    )
    says = {item.id: [said(f"answer {other}"), said("answer d = a + 1 ; import os"), said(f"answer d = {goal}")]}
    exchanges = campaign([Programs()], 200, lambda each, place, turn: says.get(each.id, [wrong(each)]))
    kept = verify([Programs()]).clean(exchanges)
    assert [(each.item, each.sample) for each in kept] == [(item.id, 0)]


def test_a_conversation_is_judged_by_its_end():
    exchanges = campaign(
        [Tools()], 6, lambda item, place, turn: [wrong(item) if turn == 2 and place < 2 else truth(item, turn)]
    )
    assert max(each.turn for each in exchanges) == 2
    kept = verify([Tools()]).clean(exchanges)
    assert kept == exchanges[6:]


def test_a_call_that_led_astray_takes_its_turn_along_and_no_other():
    """The first sample calls nothing that exists, so the conversation goes wrong; the second would have been right, but
    nobody went on from it."""
    exchanges = campaign(
        [Tools()],
        2,
        lambda item, place, turn: [said("call nothing here"), truth(item, 0)] if (place, turn) == (0, 0)
        else [said("answer 0") if place == 0 else truth(item, turn)],
    )  # fmt: skip
    assert [e.item for e in verify([Tools()]).clean(exchanges)] == [exchanges[-1].item] * 3


def test_another_wording_of_a_right_call_is_right_too():
    def says(item, place, turn):
        good = truth(item, turn)
        return [good, replace(good, reasoning=" in other words "), said("call the wrong"), wrong(item)]

    exchanges = campaign([Tools()], 3, says)
    assert verify([Tools()]).clean(exchanges) == [each for each in exchanges if each.sample < 2]


def test_a_conversation_cut_by_the_budget_is_not_right():
    exchanges = campaign([Tools()], 3, lambda item, place, turn: [truth(item, turn)])
    assert verify([Tools()]).clean(exchanges[:-1]) == exchanges[:-3]


def test_what_other_cleaners_dropped_does_not_break_a_conversation():
    """Asked twice with equal replies but for one thought: only that survives deduplication, and it is still right."""

    def says(item, place, turn):
        good = truth(item, turn)
        return [replace(good, reasoning=" again ") if place >= 3 and turn == 1 else good]

    exchanges = campaign([Tools()], 3, says, rounds=2)
    cleaned = Deduplicate().clean(exchanges)
    assert len(cleaned) == 9 + 3
    assert verify([Tools()]).clean(cleaned) == cleaned
    alone = [each for each in cleaned if each.turn == 2]
    assert verify([Tools()]).clean(alone) == alone


def test_items_are_found_whatever_is_left_of_the_transcript():
    exchanges = campaign([Programs()], 300, lambda item, place, turn: [truth(item, turn)])
    last = Random(0).sample(exchanges[200:], 2)
    assert verify([Programs()]).clean(last) == last


def test_other_tasks_and_other_purposes():
    exchanges = campaign([Programs(), Recipes()], 3, lambda item, place, turn: [wrong(item)])
    judged = replace(exchanges[0], purpose="clean")
    assert verify(tasks=["programs"]).clean([*exchanges, judged]) == [*exchanges[3:], judged]
    assert verify(tasks=["programs"], others=False).clean([*exchanges, judged]) == [judged]
    assert verify(tasks=["programs"]).right([*exchanges, judged]) == [False] * 3 + [None] * 4
    assert verify().clean(exchanges) == verify().clean([]) == []


def test_a_right_answer_in_the_wrong_place_is_right_only_if_flexible():
    exchanges = campaign([Recipes()], 4, lambda item, place, turn: [said(f"then it is done . answer {item.answer} .")])
    assert verify().clean(exchanges) == []
    assert verify(flexible=True).clean(exchanges) == exchanges


def test_refused_calls_are_wrong():
    exchanges = campaign([Tools()], 1, lambda item, place, turn: [truth(item, turn)])
    blocked = [replace(e, reply=replace(e.reply, outcome=Outcome.THROTTLED)) for e in exchanges]
    assert verify().clean(blocked) == []


def test_prompts_that_cannot_be_checked_are_told():
    with pytest.raises(UserError, match=r"verify checks nonsense.*programs, tools"):
        verify(tasks=["nonsense"])
    exchanges = campaign([Few()], 2, lambda item, place, turn: [truth(item, turn)], seed=1)
    with pytest.raises(UserError, match=r"2 prompts of task facts .* seed 0.* set verify's seed"):
        verify([Few()]).clean(exchanges)


def test_the_seed_of_the_prompts_may_differ_from_the_workshops():
    exchanges = campaign([Facts()], 2, lambda item, place, turn: [truth(item, turn)], seed=1)
    cleaner = Verify(seed=1)
    cleaner.equip(home(TASKS, seed=2))
    assert cleaner.clean(exchanges) == exchanges
