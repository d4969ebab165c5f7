"""Teacher-as-cleaner and teacher-as-judge."""

from dataclasses import replace

import pytest
from campaigning import TASKS, campaign

from attacks.drop_refusals import DropRefusals
from attacks.examples import to_examples
from attacks.judge import KeepJudged, TeacherJudge
from attacks.pool import Pool
from attacks.reasoning_request import ReasoningRequest
from attacks.teacher_cleaner import TeacherCleaner, UseCleaned
from attacks.unwrap import Unwrap
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request

FIRST = Exchange(
    Request("p@0#0", (Message("user", "why?"),), samples=2, prefill="so", top_logprobs=3),
    Reply(Outcome.ANSWERED, " answer 7", " first 3 "),
    "account-00000",
    0.0,
    task="programs",
)
OTHER = replace(FIRST, request=replace(FIRST.request, id="q@1#0"))


def second(elicitor, exchange: Exchange, text: str, outcome=Outcome.ANSWERED) -> Exchange:
    return replace(exchange, request=elicitor.follow_up(exchange), reply=Reply(outcome, text), purpose="clean")


@pytest.mark.parametrize("elicitor", [TeacherCleaner("again"), TeacherJudge("again")])
def test_the_second_question_quotes_the_reply_and_is_asked_once(elicitor):
    request = elicitor.follow_up(FIRST)
    assert [message.content for message in request.messages] == ["why?", "first 3 answer 7", "again"]
    assert (request.samples, request.prefill, request.sampling) == (1, "", FIRST.request.sampling)
    sampled = elicitor.follow_up(replace(FIRST, sample=1))
    assert len({FIRST.request.id, request.id, sampled.id}) == 3
    for outcome in (Outcome.REFUSED, Outcome.BANNED, Outcome.FAILED):
        assert elicitor.follow_up(replace(FIRST, reply=Reply(outcome))) is None
    assert elicitor.follow_up(replace(FIRST, reply=Reply(Outcome.ANSWERED))) is None


def test_cleaned_replies_take_the_place_of_the_first_ones():
    ask = TeacherCleaner()
    transcript = [FIRST, OTHER, second(ask, FIRST, "clean"), second(ask, OTHER, "", Outcome.REFUSED)]
    cleaned = UseCleaned().clean(transcript)
    assert cleaned == [replace(FIRST, reply=Reply(Outcome.ANSWERED, "clean")), OTHER]
    assert UseCleaned(only=True).clean(transcript) == cleaned[:1]
    assert UseCleaned().clean(cleaned) == cleaned
    assert UseCleaned(only=True).clean([]) == []


@pytest.mark.parametrize(
    ("text", "verdict"),
    [("Yes.", True), ("no", False), ("It is not yes: NO", False), ("no idea what you know", False), ("maybe", None)],
)
def test_judgements_are_read_by_whole_words(text, verdict):
    assert KeepJudged().verdict(Reply(Outcome.ANSWERED, text)) is verdict
    assert KeepJudged().verdict(Reply(Outcome.REFUSED, text)) is None


def test_what_is_judged_right_stays():
    ask = TeacherJudge()
    unjudged = replace(FIRST, request=replace(FIRST.request, id="r@2#0"))
    transcript = [FIRST, OTHER, second(ask, FIRST, "yes"), second(ask, OTHER, "no"), unjudged]
    assert KeepJudged().clean(transcript) == [FIRST]
    assert KeepJudged(unjudged=True).clean(transcript) == [FIRST, unjudged]
    assert KeepJudged(yes="no", no="yes").clean(transcript) == [OTHER]


PAIRS = [(TeacherCleaner, UseCleaned()), (TeacherJudge, KeepJudged(unjudged=True))]


@pytest.mark.parametrize(("kind", "cleaner"), PAIRS)
def test_second_calls_are_charged_and_resumed_and_never_learned_from_as_such(kind, cleaner, tiny, tmp_path):
    def run(folder: str, count: int) -> list[Exchange]:
        source = Pool(TASKS, {"programs": 1}, 0, 24)
        return campaign(tiny, tmp_path / folder, source, kind(elicitor=ReasoningRequest()), exchanges=count)

    whole = run("whole", 24)
    assert len(whole) == 24
    asked = [each for each in whole if each.purpose == "clean"]
    assert len(asked) == 8
    run("cut", 8)
    assert run("cut", 24) == whole
    left = Unwrap(kind(elicitor=ReasoningRequest())).clean(cleaner.clean(DropRefusals().clean(whole)))
    rows = to_examples(left)
    assert 0 < len(rows) <= 16
    assert all(len(row.messages) == 1 and "\n" not in row.messages[0].content for row in rows)
    if kind is TeacherCleaner:
        second = {each.reply.completion for each in asked if each.reply.completion.strip()}
        assert second <= {row.completion for row in rows}


def test_options_that_cannot_be_are_refused():
    for kind in (TeacherCleaner, TeacherJudge):
        with pytest.raises(UserError, match=r"attack\.elicitor\.text"):
            kind(" ")
    with pytest.raises(UserError, match="two different words"):
        KeepJudged("yes", "YES")
