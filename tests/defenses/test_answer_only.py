from defenses.answer_only import AnswerOnly
from spiritsafe.exchange import Logprobs, Message, Outcome, Reply, Request, Usage

REQUEST = Request("r", (Message("user", "6 x 7?"),))


def test_the_answer_is_served_and_the_reasoning_stays_billed():
    reply = Reply(
        Outcome.ANSWERED,
        text="42",
        reasoning="6 x 7",
        reasoning_tokens=3,
        token_ids=(5, 6, 7, 8, 0),
        logprobs=Logprobs(
            ((5,), (6,), (7,), (8,), (0,)),
            ((-0.1,), (-0.2,), (-0.3,), (-0.4,), (-0.5,)),
            (-0.1, -0.2, -0.3, -0.4, -0.5),
        ),
        usage=Usage(10, 5),
        finish="stop",
    )
    shown = AnswerOnly().rewrite_reply(REQUEST, reply)
    assert (shown.text, shown.completion, shown.reasoning) == ("42", "42", None)
    assert shown.token_ids == (8, 0)
    assert shown.logprobs == Logprobs(((8,), (0,)), ((-0.4,), (-0.5,)), (-0.4, -0.5))
    assert shown.usage == Usage(10, 5)
    assert AnswerOnly().rewrite_reply(REQUEST, shown) == shown


def test_a_reply_without_reasoning_is_left_alone():
    for reply in (Reply(Outcome.REFUSED, reason="no"), Reply(Outcome.ANSWERED, text="yes", token_ids=(4, 0))):
        assert AnswerOnly().rewrite_reply(REQUEST, reply) == reply
