import pytest
from campaigning import TASKS, campaign

from attacks.few_shot import FewShot
from attacks.pool import Pool
from attacks.reasoning_request import ReasoningRequest
from attacks.unwrap import Unwrap
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Sampling
from spiritsafe.interface import Interface
from spiritsafe.task import Split

WORLD = {task.name: task for task in TASKS}
INTERFACE = Interface(sampling=Sampling(max_tokens=8))


def shown(messages, **options) -> list[Message]:
    return list(FewShot(WORLD, **options).wrap("r", messages, INTERFACE).messages)


@pytest.mark.parametrize("task", TASKS, ids=[task.name for task in TASKS])
def test_public_demonstrations_of_the_same_kind_come_before_the_question(task):
    question = task.items(Split.POOL, 1)[0].messages
    messages = shown(question, k=3)
    assert messages[6:] == list(question)
    assert [message.role for message in messages[:6]] == ["user", "assistant"] * 3
    if task.name in ("arithmetic", "programs", "tools", "recipes"):
        public = {item.messages[0] for item in task.items(Split.PUBLIC, 32)}
        assert set(messages[:6:2]) <= public


def test_demonstrations_are_worked_out_in_the_open_or_not_at_all():
    question = TASKS[0].items(Split.POOL, 1)[0].messages
    worked, bare = shown(question)[1], shown(question, reasoning=False)[1]
    assert worked.content.endswith(bare.content)
    assert bare.content.startswith("answer ")
    assert "think>" not in worked.content
    assert len(worked.content.split()) > 12


def test_an_episode_keeps_its_demonstrations_and_its_system_message():
    start = (Message("system", "be brief"), *WORLD["tools"].items(Split.POOL, 1)[0].messages)
    later = (*start, Message("assistant", "call x y"), Message("tool", "7"))
    first, second = shown(start), shown(later)
    assert first[0] == start[0]
    assert second[: len(first)] == first
    assert second[len(first) :] == list(later[2:])
    assert tuple(FewShot(WORLD).unwrap(second)) == later
    assert tuple(FewShot(WORLD).unwrap(later)) == later


def test_the_inner_elicitor_asks_the_rest_and_unwrap_is_a_cleaner(tiny, tmp_path):
    elicitor = FewShot(WORLD, k=2, elicitor=ReasoningRequest("show it"))
    exchanges = campaign(tiny, tmp_path, Pool(TASKS, {"programs": 1, "tools": 1}, 0, 8), elicitor, exchanges=8)
    assert all(each.reply.outcome is Outcome.ANSWERED for each in exchanges)
    assert all(each.request.messages[-1].content.endswith("\nshow it") for each in exchanges)
    cleaned = Unwrap(FewShot(WORLD, k=2)).clean(exchanges)
    assert [len(each.request.messages) for each in cleaned] == [1] * 8
    cleaned = Unwrap(elicitor.elicitor).clean(cleaned)
    items = {item.id: item for task in TASKS for item in task.items(Split.POOL, 8)}
    assert [each.request.messages for each in cleaned] == [items[each.item].messages for each in exchanges]
    assert [each.reply for each in cleaned] == [each.reply for each in exchanges]


def test_options_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="set k"):
        FewShot(WORLD, k=0)
    with pytest.raises(UserError, match="public to k"):
        FewShot(WORLD, k=40)
    with pytest.raises(UserError, match=r"attack\.elicitor\.tasks"):
        FewShot({"restricted": WORLD["restricted"]})
    with pytest.raises(UserError, match="take Unwrap out"):
        Unwrap(object())
