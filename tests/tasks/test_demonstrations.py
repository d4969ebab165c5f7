import pytest
from world_checks import TASKS, reply

from spiritsafe.attack import demonstrations
from spiritsafe.exchange import END_THINK, THINK
from spiritsafe.task import Split
from spiritsafe.tasks.tools import HOPS, Tools


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_one_row_for_each_assistant_turn_after_what_was_visible_before_it(kind):
    for item in kind().items(Split.POOL, 20):
        rows = demonstrations(item)
        assert [row.completion for row in rows] == [turn.content for turn in item.turns[::2]]
        assert len(rows) == (HOPS + 1 if kind is Tools else 1)
        for index, row in enumerate(rows):
            assert row.prefill == ""
            assert row.messages[: len(item.messages)] == item.messages
            history = row.messages[len(item.messages) :]
            assert [message.role for message in history] == ["assistant", "tool"] * index
            assert tuple(history[1::2]) == item.turns[1 : 2 * index : 2]
            for message, turn in zip(history[::2], item.turns[::2], strict=False):
                assert message.content == reply(turn.content).text.strip()
                assert not {THINK, END_THINK} & {*message.content.split()}
