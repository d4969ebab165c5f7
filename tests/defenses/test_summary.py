import pytest
from defense_fakes import FakePreparation, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import alone, scripted, thinking

from defenses.primitives.sentences import steps
from defenses.summary import Summary
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply, Request


def prepared(teacher, **knobs):
    defense = Summary(**knobs)
    defense.prepare(FakePreparation(teacher))
    return defense


def words(text):
    """Every word is one token of the tiny tokenizer."""
    return len(text.split())


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(0, 30),
    keep=st.sampled_from(["first", "last", "informative"]),
    trace=st.lists(st.sampled_from(["w1", "w2 ;", "w3", "w4 .", "w5 \n"]), min_size=1, max_size=12).map(" ".join),
)
def test_the_budget_holds_and_what_is_shown_was_said(teacher, tokens, keep, trace):
    defense = prepared(teacher, tokens=tokens, keep=keep)
    reply = Reply(Outcome.ANSWERED, " w9", trace)
    (shown,) = defense.rewrite_replies([Request("r", ())], [reply])
    assert shown.text == reply.text
    if words(trace) <= tokens:
        assert shown is reply
    else:
        assert words(shown.reasoning or "") <= tokens
        remaining = iter(step.strip() for step in steps(trace))
        assert all(step.strip() in remaining for step in steps(shown.reasoning or ""))  # a subsequence
        shortest = {"first": steps(trace)[0], "last": steps(trace)[-1]}.get(keep)
        assert shown.reasoning is not None or shortest is None or words(shortest) > tokens


@pytest.mark.parametrize(
    ("keep", "expected"),
    [("first", " w1 w2 ; w1 w3 . "), ("last", " w1 w3 . w4 w5 w1 ; "), ("informative", " w1 w2 ; w4 w5 w1 ; ")],
)
def test_which_steps_are_kept(teacher, keep, expected):
    """The prompt says w1 and w3: the second step says nothing new but its stop."""
    request = Request("r", (Message("user", "w1 w3"),))
    reply = Reply(Outcome.ANSWERED, " w9", " w1 w2 ; w1 w3 . w4 w5 w1 ; ")
    (shown,) = prepared(teacher, tokens=7, keep=keep).rewrite_replies([request], [reply])
    assert shown.reasoning == expected


def test_no_tokens_is_the_answer_alone(teacher):
    requests, replies = thinking()
    assert prepared(teacher, tokens=0).rewrite_replies(requests, replies) == [
        reply.without_reasoning() for reply in replies
    ]
    Summary(tokens=0, method="model", proxy=scripted(9))


def test_a_models_summary_is_shown_where_it_fits(teacher):
    requests, replies = thinking()
    defense = prepared(teacher, tokens=4, method="model", proxy=scripted(9, 8, 7))
    shown = defense.rewrite_replies(requests, replies)
    assert {reply.reasoning for reply in shown} == {" w7 w6 w5 "}
    assert [reply.text for reply in shown] == [reply.text for reply in replies]
    assert defense.cost().tokens == 4 * len(replies)
    assert shown == alone(defense, requests, replies)


@pytest.mark.parametrize("model", [scripted(9, 8, 7, 6, 5), scripted(), scripted(*range(2, 40)), tiny()])
def test_a_summary_that_is_too_long_empty_or_never_ends_gives_way_to_the_rule(teacher, model):
    requests, replies = thinking()
    defense = prepared(teacher, tokens=4, method="model", proxy=model)
    assert defense.rewrite_replies(requests, replies) == prepared(teacher, tokens=4).rewrite_replies(requests, replies)
    assert defense.cost().tokens > 0


def test_replies_without_reasoning_are_left_alone(teacher):
    replies = [Reply(Outcome.REFUSED, reason="no"), Reply(Outcome.ANSWERED, "w1 w2 ; w3 ;")]
    shown = prepared(teacher, tokens=0).rewrite_replies([Request("r", ())] * 2, replies)
    assert all(new is old for new, old in zip(shown, replies, strict=True))


def test_a_model_is_asked_for_by_name():
    with pytest.raises(UserError, match="proxy="):
        Summary(method="model")


@pytest.mark.parametrize("bad", [{"tokens": -1}, {"method": "own"}, {"keep": "middle"}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        Summary(**bad)
