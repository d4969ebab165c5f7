import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.step_by_step import StepByStep
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message

ASKED = (Message("system", "s"), Message("user", "first"), Message("assistant", "a"), Message("user", "x"))


def example(completion: str, prefill: str = "", weight: float = 1.0) -> Example:
    return Example(ASKED, completion, prefill, (1, 2), ((1,), (2,)), ((0.0,), (0.0,)), weight)


def test_label_and_rationale_are_two_tasks_of_the_last_question():
    label, rationale = StepByStep(label="[label] ").refine([example("<think> 2 and 2 </think> 4 ")])
    assert (label.completion, rationale.completion) == ("4", "2 and 2")
    assert [message.content for message in label.messages] == ["s", "first", "a", "[label] x"]
    assert [message.content for message in rationale.messages] == ["s", "first", "a", "[rationale] x"]
    assert not any(row.prefill or row.token_ids or row.top_ids or row.top_logprobs for row in (label, rationale))


def test_the_label_is_asked_for_as_the_student_is_examined():
    assert StepByStep().refine([example("<think>b</think>a")])[0].messages == ASKED


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (example("4"), ["4"]),
        (example("b</think>4", prefill="<think>"), ["4", "b"]),
        (example("<think></think>4"), ["4"]),
        (example("<think>b</think>"), []),
        (example("<think>b"), []),
        (example("b", prefill="<think>"), []),
        (example("  "), []),
    ],
)
def test_what_is_not_there_makes_no_row(row, expected):
    assert [found.completion for found in StepByStep().refine([row])] == expected
    assert StepByStep().refine([]) == []


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5), st.floats(0.1, 3)), min_size=1, max_size=12),
    st.floats(0.05, 0.95),
)
def test_weights_are_the_loss_of_the_paper(rows, alpha):
    """With one token a character: alpha times the mean over label tokens, and the rest over rationale tokens."""
    examples = [example(f"<think>{'r' * long}</think>{'l' * short}", weight=weight) for long, short, weight in rows]
    found = StepByStep(alpha).refine(examples)
    kinds = {name: [row for row in found if row.completion[0] == name] for name in "lr"}
    tokens = {name: sum(row.weight * len(row.completion) for row in kinds[name]) for name in "lr"}
    total = sum(weight * (long + short) for long, short, weight in rows)
    assert tokens["l"] == pytest.approx(alpha * total)
    assert tokens["r"] == pytest.approx((1 - alpha) * total if kinds["r"] else 0)
    assert [row.weight / kinds["l"][0].weight for row in kinds["l"]] == pytest.approx(
        [w / rows[0][2] for *_, w in rows]
    )


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"label": "[rationale] "}])
def test_tasks_that_cannot_be_told_apart_are_refused(wrong):
    with pytest.raises(UserError, match="step_by_step"):
        StepByStep(**wrong)
