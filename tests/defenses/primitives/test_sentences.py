import pytest
from hypothesis import given
from hypothesis import strategies as st

from defenses.primitives.sentences import assemble, drawn, reasons, steps, with_reasoning
from spiritsafe.exchange import Logprobs, Message, Outcome, Reply, Request, Usage

REQUEST = Request("r", (Message("user", "6 x 7?"),))
TEXTS = st.text(alphabet="ab .;!?\n3", max_size=40) | st.text(max_size=30)


@given(TEXTS)
def test_steps_join_to_their_trace(text):
    assert "".join(steps(text)) == text
    assert all(step.strip() for step in steps(text)) or not text.strip()


@given(TEXTS)
def test_all_steps_in_their_order_are_the_trace(text):
    assert assemble(steps(text), text) == (text if text.strip() else "")


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (" start a ; so b . then c . ", [" start a ; ", "so b . ", "then c . "]),
        ("3.5 and 4.\n\nSo 7!", ["3.5 and 4.\n\n", "So 7!"]),
        ("one line\nanother one", ["one line\n", "another one"]),
        ("", []),
    ],
)
def test_steps(trace, expected):
    assert steps(trace) == expected


def test_steps_in_another_order_keep_words_apart_and_the_frame():
    assert assemble(["c", " a ; "], " a ; c\n") == " c a ;\n"
    assert assemble(["b . "], " a ; b . ") == " b . "
    assert assemble([], " a ; b . ") == ""


def test_a_new_trace_drops_the_tokens_that_no_longer_fit():
    shown = Logprobs(((5,), (6,), (0,)), ((-0.1,), (-0.2,), (-0.3,)), (-0.1, -0.2, -0.3))
    reply = Reply(Outcome.ANSWERED, "42", " a ; b . ", 2, (5, 6, 0), shown, Usage(3, 3), "stop")
    assert with_reasoning(reply, " a ; b . ") is reply
    changed = with_reasoning(reply, " b . ")
    assert changed.completion == "<think> b . </think>42"
    assert (changed.token_ids, changed.logprobs, changed.reasoning_tokens) == ((), None, 0)
    assert (changed.usage, changed.finish) == (reply.usage, "stop")
    assert with_reasoning(reply, "") == reply.without_reasoning()


def test_only_reasoning_of_the_teachers_own_counts():
    thought = Reply(Outcome.ANSWERED, "42", " a . ")
    assert reasons(REQUEST, thought)
    assert not reasons(Request("r", REQUEST.messages, score="<think> a . </think>42"), thought)
    for reply in (
        Reply(Outcome.REFUSED, reason="no"),
        Reply(Outcome.ANSWERED, "42"),
        Reply(Outcome.ANSWERED, "42", "  "),
    ):
        assert not reasons(REQUEST, reply)


def test_a_share_of_requests_is_drawn_by_their_ids():
    requests = [Request(f"r{index}", REQUEST.messages) for index in range(2000)]
    fifth, half = ([drawn(request, share, key=1) for request in requests] for share in (0.2, 0.5))
    assert sum(fifth) / 2000 == pytest.approx(0.2, abs=0.04)
    assert all(wider for narrow, wider in zip(fifth, half, strict=True) if narrow)
    assert fifth != [drawn(request, 0.2, key=2) for request in requests]
    assert not any(drawn(request, 0, key=1) for request in requests)
    assert all(drawn(request, 1, key=1) for request in requests)
