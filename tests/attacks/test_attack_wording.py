import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.wording import answer, bags, question, reworded
from spiritsafe.exchange import Message, Outcome, Reply

TALK = [Message("system", "be brief"), Message("user", "why?"), Message("assistant", "so"), Message("tool", "7")]


def test_the_last_question_is_found_and_replaced_and_nothing_else():
    assert question(TALK) == "why?"
    assert reworded(TALK, "how?") == (TALK[0], Message("user", "how?"), *TALK[2:])
    assert question([]) == ""
    assert reworded(TALK[:1], "how?") == (TALK[0], Message("user", "how?"))


@given(st.permutations(["red", "green", "blue", "Grey"]))
def test_bags_know_words_and_not_their_order(order):
    first, second = bags(["red green, blue grey!", " ".join(order)])
    assert first == pytest.approx(second)
    assert np.linalg.norm(first) == pytest.approx(1)


def test_likeness_is_the_cosine_of_word_counts():
    left, right, other = bags(["a a b", "a b b", "c d"], width=1 << 16)
    assert left @ right == pytest.approx((2 * 1 + 1 * 2) / 5)
    assert left @ other == pytest.approx(0)
    assert not bags(["", "?!"]).any()


def test_the_answer_is_what_is_said_last():
    assert answer(Reply(Outcome.ANSWERED, "first 3\n#### 7\n", "x")) == "7"
    assert answer(Reply(Outcome.ANSWERED, " Answer 7 .", "x")) == "answer 7"
    assert answer(Reply(Outcome.ANSWERED, "", "x")) == answer(Reply(Outcome.REFUSED)) == ""
