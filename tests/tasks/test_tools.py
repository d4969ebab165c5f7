import re

from world_checks import HOURS, PEOPLE, play, reply

from spiritsafe.exchange import END_THINK, THINK, Message
from spiritsafe.task import Split
from spiritsafe.tasks.tools import HOPS, Tools
from spiritsafe.tasks.world import TOOLS

TASK = Tools()
TEST = TASK.items(Split.TEST, 60)


def calls(item) -> list[str]:
    return [reply(turn.content).text.strip() for turn in item.turns if turn.role == "assistant"][:-1]


def test_calls_follow_the_question_and_the_observations():
    for item in TEST:
        question = item.messages[0].content
        relations, holder = re.findall(r"the (\w+) of", question), question.split()[-1]
        assert holder in PEOPLE
        expected = []
        for relation, observation in zip(reversed(relations), item.turns[1::2], strict=True):
            expected.append(f"call {TOOLS[relation]} {holder}")
            assert observation.role == "tool"
            holder = observation.content
            assert int(holder) in HOURS
        assert calls(item) == expected
        assert len(expected) == HOPS
        assert item.answer == holder


def test_nothing_but_the_calls_gives_the_answer():
    items = TASK.items(Split.TEST, 400)
    by_content = {}
    for item in items:
        by_content.setdefault(item.cluster, set()).add(item.answer)
    assert any(len(answers) > 1 for answers in by_content.values())
    assert len({item.answer for item in items}) == len(HOURS)


def test_an_unknown_call_is_answered_with_nothing():
    for item in TEST[:10]:
        tool, holder = calls(item)[0].split()[1:]
        other = next(name for name in TOOLS.values() if f"call {name} {holder}" not in calls(item))
        for call in (f"call {other} {holder}", f"call {tool} nobody", f"call {holder} {tool}"):
            assert TASK.observe(item, [reply(call)]) == Message("tool", "nothing")


def test_a_call_is_heard_in_the_visible_text_only():
    item = TEST[0]
    call = calls(item)[0]
    assert TASK.observe(item, [reply(f"{THINK} so {call} {END_THINK} so")]) is None
    assert TASK.observe(item, [reply(f"{THINK} so {END_THINK} {call}")]) == item.turns[1]
    assert TASK.observe(item, [reply(call)]) == item.turns[1]


def test_an_episode_ends_with_an_answer_or_after_the_last_hop():
    item = TEST[0]
    assert TASK.observe(item, [reply("answer 3")]) is None
    assert TASK.observe(item, [reply("")]) is None
    replies = []
    for _ in range(HOPS):
        replies.append(reply(calls(item)[0]))
        assert TASK.observe(item, replies) == item.turns[1]
    replies.append(reply(calls(item)[0]))
    assert TASK.observe(item, replies) is None
    assert not TASK.score(item, replies).strict


def test_a_whole_episode_is_one_assistant_turn_longer_than_its_hops():
    for item in TEST:
        assert len(play(TASK, item)) == HOPS + 1
        assert [message.role for message in item.turns] == ["assistant", "tool"] * HOPS + ["assistant"]
