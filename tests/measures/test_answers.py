import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.measures.answers import STRICT, cut, flexible, number, same, strict

LM_EVAL_FLEXIBLE = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"


@pytest.mark.parametrize(
    ("text", "lm_eval", "ours"),
    [
        ("so he has 10-5", "-5", "5"),
        ("#### 72 (in 3 steps)", "3", "72"),
        ("the answer is 72...", "72..", "72"),
        ("the answer is 72.\n\nQuestion: Tom has 5 apples", "5", "72"),
    ],
)
def test_traps_of_the_lm_eval_pattern(text: str, lm_eval: str, ours: str) -> None:
    theirs = ["".join(groups) for groups in re.findall(LM_EVAL_FLEXIBLE, text)][-1]
    assert theirs.removesuffix(".") == lm_eval
    assert flexible(text) == ours


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("5 - 7 = -2", "-2"),
        ("it costs $1,234.50.", "$1,234.50"),
        ("she owes -$30", "-$30"),
        ("half is .5", ".5"),
        ("f(3)-4", "4"),
        ("x = −8", "−8"),
        ("about 50%", "50"),
        ("no number here", None),
        ("", None),
    ],
)
def test_flexible_takes_the_last_number(text: str, answer: str | None) -> None:
    assert flexible(text) == answer


def test_strict_wants_the_format() -> None:
    assert strict("so 3 + 4 = 7\n#### 7") == "7"
    assert strict("so 3 + 4 = 7\nA: 7") is None
    assert strict("Question: is it #### 7") is None
    assert strict("think\nanswer : 17 .", r"answer : (\S+)", ()) == "17"
    assert flexible("answer : red , as ever", r"answer : (\S+)", r"(\S+)") == "red"
    assert flexible("it must be red", r"answer : (\S+)", r"(\S+)") == "red"


@pytest.mark.parametrize(
    ("answer", "truth", "equal"),
    [
        ("72.0", "72", True),
        ("72.", "72", True),
        ("$1,200", "1200", True),
        ("-5", "5", False),
        ("0.1", "0.10", True),
        ("Red ", "red", True),
        ("red", "blue", False),
        ("nan", "nan", True),
        ("nan", "3", False),
        ("...", "0", False),
        (None, "0", False),
    ],
)
def test_numbers_are_compared_as_numbers(answer: str | None, truth: str, equal: bool) -> None:
    assert same(answer, truth) is equal


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc #.,:\n-"))
def test_an_answer_in_the_format_is_found_behind_any_prose(value: int, prose: str) -> None:
    text = f"{prose}#### {value:,}"
    if not re.search(STRICT, prose + "#### x"):
        assert number(strict(text) or "") == value == number(flexible(text) or "")


@given(st.text())
def test_cutting_is_idempotent_and_never_adds(text: str) -> None:
    assert text.startswith(cut(text))
    assert cut(cut(text)) == cut(text)
