from dataclasses import replace

from attacks.examples import to_examples
from spiritsafe.attack import Example
from spiritsafe.exchange import Exchange, Logprobs, Message, Outcome, Reply, Request

MESSAGES = (Message("user", "look it up"), Message("assistant", "call q"), Message("tool", "7"))
LOGPROBS = Logprobs(ids=((4, 5), (6, 7)), values=((-0.1, -2.5), (-0.2, -2.0)), chosen=(-0.1, -2.0))
REPLY = Reply(Outcome.ANSWERED, "answer 7", " so 7 ", token_ids=(4, 7), logprobs=LOGPROBS)
ANSWERED = Exchange(Request("r", MESSAGES, prefill="well ,"), REPLY, "account-00000", 0.0)


def test_a_reply_becomes_a_row_with_all_that_was_disclosed():
    assert to_examples([ANSWERED]) == [
        Example(
            messages=MESSAGES,
            completion="<think> so 7 </think>answer 7",
            token_ids=(4, 7),
            top_ids=((4, 5), (6, 7)),
            top_logprobs=((-0.1, -2.5), (-0.2, -2.0)),
        )
    ]


def test_what_was_hidden_is_in_no_row():
    hidden = replace(REPLY, reasoning=None, logprobs=None, token_ids=())
    assert to_examples([replace(ANSWERED, reply=hidden)]) == [Example(MESSAGES, "answer 7")]


def test_only_answered_harvest_with_content_makes_rows():
    failures = [
        replace(ANSWERED, reply=replace(REPLY, outcome=outcome))
        for outcome in Outcome
        if outcome is not Outcome.ANSWERED
    ]
    empty = replace(ANSWERED, reply=Reply(Outcome.ANSWERED))
    others = [replace(ANSWERED, purpose=purpose) for purpose in ("score", "judge", "probe", "clean", "cover")]
    assert to_examples([*failures, empty, *others]) == []
