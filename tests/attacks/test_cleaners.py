import pytest
from hypothesis import given
from hypothesis import strategies as st

from attacks.deduplicate import Deduplicate
from attacks.drop_refusals import DropRefusals
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request

LOOP = "and then he went home " * 20
TEXTS = ["answer 7", "answer 8", "", "  ", "I'm sorry, but I cannot help with that.", "I can’t assist with it .", LOOP]


def exchange(prompt: str, text: str, outcome: Outcome = Outcome.ANSWERED, reasoning: str | None = None) -> Exchange:
    return Exchange(Request("r", (Message("user", prompt),)), Reply(outcome, text, reasoning), "account-00000", 0.0)


transcripts = st.lists(
    st.builds(
        exchange, st.sampled_from("ab"), st.sampled_from(TEXTS), st.sampled_from(Outcome), st.sampled_from([None, "x"])
    ),
    max_size=20,
)


@pytest.mark.parametrize("cleaner", [DropRefusals(), Deduplicate()])
@given(transcript=transcripts, cut=st.integers(0, 20))
def test_cleaning_keeps_order_is_idempotent_and_streams(cleaner, transcript, cut):
    cleaned = cleaner.clean(transcript)
    remaining = iter(transcript)
    assert all(any(kept is candidate for candidate in remaining) for kept in cleaned)
    assert cleaner.clean(cleaned) == cleaned
    prefix = cleaner.clean(transcript[:cut])
    assert prefix == cleaned[: len(prefix)]


def test_refusals_in_words_and_by_the_gateway_go():
    kept = exchange("a", "answer 7")
    refusals = [exchange("a", text) for text in TEXTS[4:6]]
    blocked = [exchange("a", "answer 7", outcome) for outcome in Outcome if outcome is not Outcome.ANSWERED]
    assert DropRefusals().clean([*refusals, kept, *blocked]) == [kept]


def test_a_refusal_that_is_only_thought_of_is_kept():
    kept = exchange("a", "answer 7", reasoning="i cannot help with that . or can i")
    assert DropRefusals().clean([kept]) == [kept]


def test_only_the_first_of_equals_stays():
    first, again = exchange("a", "answer 7"), exchange("a", "answer 7")
    different = [exchange("b", "answer 7"), exchange("a", "answer 8"), exchange("a", "answer 7", reasoning="x")]
    cleaned = Deduplicate().clean([first, *different, again])
    assert cleaned == [first, *different]
    assert cleaned[0] is first


def test_empty_and_looping_traces_go():
    kept = exchange("a", "first add 3 to 4 , that makes 7 . then take 2 away , that makes 5 . answer 5")
    empty = [exchange("a", "", outcome) for outcome in Outcome]
    assert Deduplicate().clean([*empty, exchange("a", LOOP), exchange("b", "ha" * 50), kept]) == [kept]
    assert len(Deduplicate(repeated=1.0).clean([exchange("a", LOOP)])) == 1
