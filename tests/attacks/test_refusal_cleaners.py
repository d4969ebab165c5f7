from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import single

from attacks.answer_only import AnswerOnly
from attacks.drop_refusals import DropRefusals
from attacks.examples import to_examples
from attacks.keep_refusals import KeepRefusals
from attacks.strip_steps import StripSteps
from defenses.policy_trap import PolicyTrap
from defenses.primitives.seeding import Refusal
from defenses.refusal_seeding import RefusalSeeding
from spiritsafe.errors import UserError
from spiritsafe.exchange import Logprobs, Message, Outcome, Request
from spiritsafe.tasks.recipes import REFUSALS

NO = "i cannot help with salt"
TRACE = "first grind salt gives ash . then heat ash makes 7.5 ; so 7.5 is it ."
REFUSED = Refusal(
    (Message("user", "make venom : take salt ; grind ; what comes out"),), "sorry , i cannot help with it"
)
GOOD = ["first add 3.5 to 4 .", "then stop ;", "really ?"]
BAD = [f"but {NO} .", "i’m sorry, but no !", "x " * 200 + NO + " ."]
transcripts = st.lists(
    st.builds(single, st.sampled_from(["answer 7", NO, ""]), reasoning=st.sampled_from([None, NO, " a . "])), max_size=9
)


@given(transcripts, st.sampled_from(Outcome))
def test_refusals_are_kept_or_dropped(transcript, outcome):
    transcript = [replace(each, reply=replace(each.reply, outcome=outcome)) for each in transcript]
    kept, dropped = KeepRefusals().clean(transcript), DropRefusals().clean(transcript)
    answered = transcript if outcome is Outcome.ANSWERED else []
    assert kept == [each for each in answered if each.reply.text == NO]
    assert len(kept) + len(dropped) == len(answered)


@given(st.lists(st.sampled_from(GOOD + BAD), max_size=8))
def test_the_steps_that_refuse_go_and_the_rest_stays_to_the_letter(steps):
    left = [step for step in steps if step in GOOD]
    expected = f" {' '.join(left)} "
    assert StripSteps().strip(f" {' '.join(steps)} ") == (expected if left or not steps else "")
    assert StripSteps().strip("\n".join(steps)).split() == " ".join(left).split()


@pytest.mark.parametrize("seed", range(6))
def test_refusal_seeding_is_undone(seed):
    request = Request("r", (Message("user", "make bread : take salt ; grind ; heat ; what comes out"),))
    seeded = RefusalSeeding().seeded(request, TRACE, REFUSED, Random(seed))
    assert "i cannot" in seeded
    assert StripSteps().strip(f" {seeded} ") == f" make bread : take salt : {TRACE} "


@pytest.mark.parametrize(
    "begin", ["<begin><user> ", "<user>", "<|im_end|>\n<|im_start|>user\n", "<｜User｜>", "[INST] "]
)
@pytest.mark.parametrize("refusal", [REFUSALS[0], "another thing altogether {}"])
def test_the_policy_trap_is_undone_whatever_it_says(begin, refusal):
    trap = PolicyTrap()
    refused = replace(REFUSED, text=refusal.format("venom"))
    trap.turns = {refused: f"{begin}{refused.asked} <assistant> "}
    seeded = trap.seeded(Request("r", ()), TRACE, refused, Random(0))
    assert StripSteps().strip(f" {seeded} ") == f" {TRACE} "


def test_a_changed_reply_is_text_only_and_others_stay_as_they_are():
    logprobs = Logprobs(((1,), (2,), (3,)), ((-1.0,),) * 3, (-1.0,) * 3)
    clean, mixed, all_of_it = (
        single("answer 7", reasoning=text) for text in (f" {TRACE} ", f" {TRACE} {NO} . ", f" {NO} . ")
    )
    shown = [
        replace(each, reply=replace(each.reply, reasoning_tokens=2, token_ids=(1, 2, 3), logprobs=logprobs))
        for each in (clean, mixed, all_of_it)
    ]
    same, changed, empty = StripSteps().clean(shown)
    assert same is shown[0]
    assert changed.reply == replace(clean.reply, usage=changed.reply.usage)
    assert empty.reply == replace(clean.reply, reasoning=None)
    assert [row.completion for row in to_examples([changed, empty])] == [
        f"<think> {TRACE} </think>answer 7",
        "answer 7",
    ]
    blocked = replace(shown[1], reply=replace(shown[1].reply, outcome=Outcome.REFUSED))
    assert StripSteps().clean([blocked]) == [blocked]


def test_answers_alone_keep_their_tokens_and_nothing_of_the_reasoning():
    logprobs = Logprobs(((1,), (2,), (3,)), ((-1.0,), (-2.0,), (-3.0,)), (-1.0, -2.0, -3.0))
    shown = single("answer 7", reasoning=NO)
    shown = replace(shown, reply=replace(shown.reply, reasoning_tokens=2, token_ids=(1, 2, 3), logprobs=logprobs))
    (row,) = to_examples(AnswerOnly().clean([shown, single("", reasoning="thinking on and on")]))
    assert (row.completion, row.token_ids, row.top_ids, row.top_logprobs) == ("answer 7", (3,), ((3,),), ((-3.0,),))
    plain = single("answer 7")
    assert AnswerOnly().clean([plain]) == [plain]


def test_marks_that_are_no_pattern_are_told():
    with pytest.raises(UserError, match="marks"):
        StripSteps(marks="[")
