from collections.abc import Sequence
from dataclasses import replace

import pytest
from workshops import workshop

from attacks.invert import TraceInversion
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply, Request
from spiritsafe.models import load
from spiritsafe.task import Item, Kind, Split

WORDS = ("a", "b", "c", "d")
QUESTION = (Message("user", "run a"),)
HIDDEN = Example(QUESTION, " answer 3", "", (1,), ((1,),), ((0.0,),))
REPLY = Reply(Outcome.ANSWERED, " answer 3", " so 3 ", finish="stop")


class Echo:
    """The trace says what the question and the answer say: only who is told both can write it."""

    name, kind, force = "echo", Kind.CAPABILITY, ""

    def __init__(self, traces: bool = True) -> None:
        self.traces = traces

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        return [self.item(WORDS[place % 4], place // 4 % 6) for place in range(count)]

    def item(self, word: str, number: int) -> Item:
        trace = f"<think> so {number} by {word} </think>" if self.traces else ""
        turn = Message("assistant", f"{trace} answer {number}")
        return Item(word, (Message("user", f"run {word}"),), str(number), (turn,))


@pytest.fixture(scope="module")
def student(tiny_world):
    return load(str(tiny_world.student), device="cpu")


def scripted(student, *replies: Reply, **options: object) -> tuple[TraceInversion, list[Example], list[Request]]:
    """A part whose inverter says ``replies``, and what it is taught and asked."""
    taught: list[Example] = []
    asked: list[Request] = []

    def respond(model: object, requests: Sequence[Request]) -> list[Reply]:
        asked.extend(requests)
        return [replies[place % len(replies)] for place in range(len(requests))]

    home = workshop(student, [Echo()])
    part = TraceInversion(**{"count": 24, **options})
    part.equip(replace(home, learn=lambda rows: taught.extend(rows) or student, respond=respond))
    return part, taught, asked


def test_the_inverter_learns_from_owned_answers_and_writes_before_the_harvested_one(student):
    part, taught, asked = scripted(student, REPLY)
    found = part.refine([HIDDEN])
    assert found == [Example(QUESTION, "<think> so 3 </think> answer 3")]
    assert taught[5] == Example((Message("user", "run b\n\nanswer 1"),), "<think> so 1 by b </think> answer 1")
    assert len(taught) == 24
    assert [request.messages for request in asked] == [(Message("user", "run a\n\nanswer 3"),)]
    assert asked[0].sampling.temperature == 0


def test_rows_with_reasoning_a_prefill_or_no_answer_stay_and_need_no_inverter(student):
    rows = [
        Example(QUESTION, "<think> so </think> answer 3"),
        replace(HIDDEN, prefill="<think> so </think>"),
        Example(QUESTION, ""),
    ]
    part, taught, asked = scripted(student, REPLY)
    assert part.refine(rows) == rows
    assert part.refine([]) == []
    assert taught == asked == []


@pytest.mark.parametrize(
    "reply",
    [
        replace(REPLY, reasoning=None),
        replace(REPLY, reasoning="  "),
        replace(REPLY, text=""),
        Reply(Outcome.FAILED),
    ],
)
def test_where_no_trace_was_written_the_row_stays(student, reply):
    part, _, _ = scripted(student, reply)
    assert part.refine([HIDDEN]) == [HIDDEN]


def test_summaries_are_told_to_the_inverter_and_make_room_for_its_trace(student):
    part, taught, asked = scripted(student, Reply(Outcome.ANSWERED, "in short", " so 3 "), summaries=True)
    found = part.refine([Example(QUESTION, "<think> by a </think> answer 3")])
    assert taught[0].messages[0].content == "run a\n\nin short\n\nanswer 0"
    assert asked[0].messages[0].content == f"{part.instruction}\n\nso 0 by a"
    assert asked[-1].messages[0].content == "run a\n\nby a\n\nanswer 3"
    assert found == [Example(QUESTION, "<think> so 3 </think> answer 3")]


def test_earlier_turns_are_kept(student):
    part, _, asked = scripted(student, REPLY, template="{question} {answer}")
    history = (*QUESTION, Message("assistant", "call b"), Message("tool", "7 {x}"))
    assert part.refine([Example(history, "answer 3")])[0].messages == history
    assert asked[0].messages == (*history[:2], Message("tool", "7 {x} answer 3"))


def test_a_trained_inverter_writes_traces_that_follow_question_and_answer(student):
    part = TraceInversion(count=24, max_tokens=12)
    part.equip(workshop(student, [Echo()], steps=150, rate=2e-2))
    rows = [Example((Message("user", f"run {word}"),), f" answer {number}") for word in WORDS for number in range(6)]
    written = [row.completion for row in part.refine(rows)]
    right = [
        completion == f"<think> so {number} by {word} </think> answer {number}"
        for completion, (word, number) in zip(written, [(w, n) for w in WORDS for n in range(6)], strict=True)
    ]
    assert sum(right) >= 20


def test_what_cannot_be_is_refused(student):
    with pytest.raises(UserError, match="count >= 1"):
        TraceInversion(count=0)
    with pytest.raises(UserError, match="must hold"):
        TraceInversion(template="{question}")
    part = TraceInversion()
    part.equip(workshop(student, [Echo(traces=False)]))
    with pytest.raises(UserError, match="with reasoning"):
        part.refine([HIDDEN])
