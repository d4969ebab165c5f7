from collections import Counter
from decimal import Decimal
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from played import campaign, home, said, single, truth

from attacks.majority import Majority, answer_of
from attacks.max_of_k import MaxOfK
from attacks.verify import Verify
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.tools import Tools

LOOP = "answer 7 and then " * 20
texts = st.sampled_from(["answer 7", "answer 8", "so the answer is 7.", "no", "", LOOP])
transcripts = st.lists(
    st.builds(single, texts, st.sampled_from("ab"), st.sampled_from([None, "x y"]), outcome=st.sampled_from(Outcome)),
    max_size=12,
)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("answer 7", 7),
        ("The answer is: 7.", 7),
        ("3 + 4 = 7\n#### 7.0\nQuestion: 5", 7),
        ("answer 5 ; no , answer 7", 7),
        ("**Answer:** $1,200", 1200),
        ("Answer d = c  +  7 .", "d = c + 7"),
        ("call badge mako", "call badge mako"),
        ("I have no answer .", "i have no answer"),
        ("answer 1e99999999", Decimal("1e99999999")),
        (" \n ", ""),
    ],
)
def test_answers_are_compared_by_what_they_say(text, answer):
    assert answer_of(text) == answer


@given(transcripts)
def test_the_majority_is_that_of_a_count(transcript):
    votes: dict[str, list] = {}
    for each in transcript:
        if each.reply.outcome is Outcome.ANSWERED and each.reply.text:
            votes.setdefault(each.item, []).append(answer_of(each.reply.text))
    winners = {item: Counter(answers).most_common(1)[0][0] for item, answers in votes.items()}
    expected = [
        each
        for each in transcript
        if each.reply.outcome is Outcome.ANSWERED
        and each.reply.text
        and answer_of(each.reply.text) == winners[each.item]
    ]
    assert Majority().clean(transcript) == expected
    assert Majority(singles=False).clean(transcript) == [each for each in expected if len(votes[each.item]) > 1]
    assert Majority().clean(expected) == expected


def test_samples_episodes_and_accounts_vote_together_and_ties_go_to_the_first():
    votes = [single(f"answer {n}", sample=s, account=a) for n, s, a in [(8, 0, "a"), (7, 1, "a"), (7, 0, "b")]]
    assert Majority().clean(votes) == votes[1:]
    assert Majority().clean(votes[:2]) == votes[:1]
    assert Majority().clean([votes[1], votes[0]]) == [votes[1]]


def test_later_turns_vote_where_the_same_was_said_before():
    """Two episodes call different tools; the second turn of each stands alone."""
    other = said("call wrong way")
    exchanges = campaign(
        [Tools()], 1, lambda item, place, turn: [other if (place, turn) == (1, 0) else truth(item, turn)], rounds=2
    )
    kept = Majority(singles=False).clean(exchanges)
    assert [(each.request.id.partition("@")[2]) for each in kept] == ["0#0"]
    assert len(Majority().clean(exchanges)) == len(exchanges) - 1


@given(transcripts, st.sampled_from([None, 1, 2, 3]))
def test_the_best_is_one_a_prompt_and_no_other_is_better(transcript, k):
    kept = MaxOfK(k=k).clean(transcript)
    assert len({each.item for each in kept}) == len(kept)
    for item in "ab":
        sound = [
            each
            for each in [each for each in transcript if each.item == item][:k]
            if each.reply.outcome is Outcome.ANSWERED and each.reply.completion and each.reply.text != LOOP
        ]
        words = [len(each.reply.completion.split()) for each in sound]
        assert [each for each in kept if each.item == item] == ([sound[words.index(max(words))]] if sound else [])


def test_what_was_cut_off_is_worse_than_what_came_to_an_end():
    cut, short = single("first 3 then 4 then", finish="length"), single("answer 7")
    assert MaxOfK().clean([cut, short]) == [short]
    assert MaxOfK().clean([cut]) == [cut]
    assert len(MaxOfK(repeated=1.0).clean([single(LOOP)])) == 1


def test_what_is_right_is_better_than_what_is_long():
    def says(item, place, turn):
        right, wrong = truth(item, turn), said("<think> " + truth(item, turn).reasoning * 2 + "</think> answer none")
        return Random(item.id).sample([right, wrong], 2) if place else [wrong, wrong]

    exchanges = campaign([Programs()], 8, says)
    cleaner = MaxOfK(score="verified")
    cleaner.equip(home([Programs()]))
    kept = cleaner.clean(exchanges)
    checked = Verify()
    checked.equip(home([Programs()]))
    assert len(kept) == 8
    assert checked.right(kept) == [False] + [True] * 7
    assert checked.right(MaxOfK().clean(exchanges)) == [False] * 8
    assert cleaner.clean([]) == []


def test_calls_for_another_purpose_neither_vote_nor_leave():
    votes = [single("answer 8"), single("answer 7", purpose="clean"), single("answer 7", purpose="clean")]
    assert Majority().clean(votes) == MaxOfK().clean(votes) == votes


def test_impossible_knobs_are_told():
    with pytest.raises(UserError, match="regular expression"):
        Majority(mark="(")
    for knobs in ({"score": "shortest"}, {"k": 0}):
        with pytest.raises(UserError, match="max_of_k needs score"):
            MaxOfK(**knobs)
