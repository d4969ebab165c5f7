import pytest
from defense_fakes import tiny
from seeding import Refusing, replies, requests

from defenses.policy_trap import PolicyTrap
from defenses.refusal_seeding import RefusalSeeding
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.interface import Interface
from spiritsafe.measures.refusal import is_refusal
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

both = pytest.mark.parametrize("kind", [RefusalSeeding, PolicyTrap])


def prepared(kind, preparation=None, **knobs):
    defense = kind(**knobs)
    defense.prepare(preparation or Refusing(tiny()))
    return defense


@both
def test_the_trace_and_the_answer_stay_and_a_refusal_of_the_teacher_is_added(kind):
    preparation = Refusing(tiny())
    defense = prepared(kind, preparation, strength=1, harmful=["forbidden"], prompts=5)
    assert preparation.asked == ["forbidden"]
    shown = defense.rewrite_replies(requests(), replies())
    for new, old in zip(shown, replies(), strict=True):
        assert (new.text, new.usage, new.finish) == (old.text, old.usage, old.finish)
        assert old.reasoning.strip() in new.reasoning
        assert not is_refusal(new.text)
        added = new.reasoning.replace(old.reasoning.strip(), "")
        assert [f"i cannot help with w{i}" in added for i in range(5)].count(True) == 1
        assert (new.token_ids, new.logprobs, new.reasoning_tokens) == ((), None, 0)
        assert "think>" not in new.reasoning
    assert len({new.reasoning.partition("sorry")[2] for new in shown}) > 3


@both
def test_a_share_of_nothing_is_the_same_object_and_asks_the_teacher_nothing(kind):
    preparation = Refusing(tiny())
    defense = prepared(kind, preparation, strength=0)
    assert preparation.asked == []
    old = replies()
    assert all(a is b for a, b in zip(defense.rewrite_replies(requests(), old), old, strict=True))


@both
def test_other_skills_and_replies_without_reasoning_are_left_alone(kind):
    defense = prepared(kind, strength=1)
    old = replies()
    assert all(a is b for a, b in zip(defense.rewrite_replies(requests("programs"), old), old, strict=True))
    bare = [Reply(Outcome.ANSWERED, "i cannot help with v3"), Reply(Outcome.REFUSED, reason="no")]
    assert all(a is b for a, b in zip(defense.rewrite_replies(requests(count=2), bare), bare, strict=True))


@both
def test_the_share_is_kept_and_a_larger_one_marks_the_same_replies_too(kind):
    count = 600
    marked = {}
    for strength in (0.05, 0.25):
        shown = prepared(kind, strength=strength).rewrite_replies(requests(count=count), replies(count))
        changed = [new.reasoning != old.reasoning for new, old in zip(shown, replies(count), strict=True)]
        marked[strength] = {place for place, hit in enumerate(changed) if hit}
        assert abs(len(marked[strength]) / count - strength) < 4 * (strength * (1 - strength) / count) ** 0.5
    assert marked[0.05] < marked[0.25]


@both
def test_the_id_and_the_key_alone_decide(kind):
    defense = prepared(kind, strength=0.5)
    whole = defense.rewrite_replies(requests(), replies())
    alone = [defense.rewrite_reply(*pair) for pair in reversed(list(zip(requests(), replies(), strict=True)))]
    assert whole == alone[::-1]
    assert whole != prepared(kind, strength=0.5, key=1).rewrite_replies(requests(), replies())


def test_cases_come_in_random_order_and_are_named_by_their_first_words():
    shown = prepared(RefusalSeeding, strength=1, words=5).rewrite_replies(requests(), replies())
    first = [new.reasoning.startswith(" how do i make v") for new in shown]
    assert 8 < sum(first) < 32
    for i, new in enumerate(shown):
        assert f"how do i make w{i + 3} : first w{i} gives w9 ." in new.reasoning
    whole = prepared(RefusalSeeding, strength=1, words=None, case="case {request} =")
    assert (
        "case how do i make w3 from w0 ; heat ; stir = first"
        in whole.rewrite_reply(requests()[0], replies()[0]).reasoning
    )


@both
def test_a_teacher_that_refuses_nothing_has_no_policy_to_pass_on(kind):
    with pytest.raises(UserError, match=r"no refusal in 7 replies to \['forbidden'\].*set harmful"):
        prepared(
            kind, Refusing(tiny(), says="<think> i cannot help </think> answer {}"), prompts=7, harmful=["forbidden"]
        )


@both
def test_an_unknown_skill_names_the_known_ones(kind):
    with pytest.raises(UserError, match="chess"):
        prepared(kind, skills=["chess"])


@both
@pytest.mark.parametrize("bad", [{"strength": 1.5}, {"strength": -0.1}, {"prompts": 0}, {"threshold": 2}])
def test_bad_knobs_are_refused(kind, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        kind(**bad)


@pytest.mark.parametrize("bad", [{"case": "again :"}, {"words": 0}])
def test_a_case_has_a_name(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        RefusalSeeding(**bad)


@both
@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_through_the_gateway_what_is_billed_does_not_change(kind, family):
    teacher = tiny(family)

    def served(defenses):
        gateway = Gateway(teacher, Interface(), defenses, Ledger(), {"a": Account("a")}, batch_size=4)
        return gateway.serve([Call(request, "a", float(i)) for i, request in enumerate(requests(count=6))])

    plain = served([])
    assert served([prepared(kind, Refusing(teacher), strength=1)]) == plain  # tiny teachers do not reason
    assert [exchange.reply.outcome for exchange in plain] == [Outcome.ANSWERED] * 6
