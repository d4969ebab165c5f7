from dataclasses import replace

import pytest

from defenses.decoy_tools import DecoyTools
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

ASK, CALL, SEEN = Message("user", "find w1"), Message("assistant", "call w2"), Message("tool", "w3")
SYSTEM = Message("system", "You may call: real_tool.")


def request(*messages, name="r"):
    return Request(name, messages)


def test_a_chat_without_tools_is_served_as_it_was_asked_for():
    asked = request(ASK)
    assert DecoyTools().rewrite_request(asked) is asked
    assert DecoyTools(always=True).rewrite_request(asked).messages[1:] == asked.messages


def test_no_decoys_touch_nothing():
    asked = request(SYSTEM, ASK)
    assert DecoyTools(k=0, always=True).rewrite_request(asked) is asked


@pytest.mark.parametrize("k", [1, 3, 40])
def test_k_definitions_follow_the_systems_own_words(k):
    asked = request(SYSTEM, ASK)
    defense = DecoyTools(k=k, definition="- {name}: d")
    rewritten = defense.rewrite_request(asked)
    decoys = defense.decoys(asked)
    assert len(set(decoys)) == k
    lines = [f"- {name}: d" for name in decoys]
    assert rewritten.messages == (
        Message("system", "\n".join([SYSTEM.content, "", "Further tools:", *lines])),
        ASK,
    )
    assert replace(rewritten, messages=asked.messages) == asked


def test_after_a_tool_has_spoken_a_system_message_is_put_in_front():
    asked = request(ASK, CALL, SEEN)
    rewritten = DecoyTools(heading="", definition="call {name}").rewrite_request(asked)
    assert rewritten.messages[1:] == asked.messages
    assert [line.split()[0] for line in rewritten.messages[0].content.split("\n")] == ["call", "call"]


def test_decoys_are_the_conversations_own_on_every_turn_and_for_every_account():
    defense = DecoyTools(k=3)
    first = defense.decoys(request(SYSTEM, ASK))
    called = Message("assistant", f"call {first[0]}")
    assert defense.decoys(request(SYSTEM, ASK, called, SEEN, name="another")) == first
    others = [defense.decoys(request(SYSTEM, Message("user", f"find w{i}"))) for i in range(20)]
    assert sum(decoys == first for decoys in others) <= 1
    assert DecoyTools(k=3, key=1).decoys(request(SYSTEM, ASK)) != first


def test_a_real_tools_name_is_not_a_decoy():
    names = ("real_tool", "a_list", "b_list")
    assert sorted(DecoyTools(names=names).decoys(request(SYSTEM, ASK))) == ["a_list", "b_list"]


def test_the_teacher_reads_them_and_the_transcript_does_not_show_them(teacher):
    """The decoys are words of the tiny tokenizer here, so that they can change what is answered."""
    asked = [
        replace(request(Message("user", f"w{i}"), Message("tool", "w3"), name=f"r{i}"), sampling=Sampling(max_tokens=6))
        for i in range(9)
    ]

    def serve(*defenses, batch_size=4):
        gateway = Gateway(teacher, Interface(), defenses, Ledger(), {"a": Account("a")}, seed=3, batch_size=batch_size)
        return gateway.serve([Call(each, "a", 0.0) for each in asked])

    words = {"names": [f"w{i}" for i in range(40, 60)], "heading": "", "definition": "{name}"}
    plain, decoyed = serve(), serve(DecoyTools(**words))
    assert [exchange.request for exchange in decoyed] == asked
    assert sum(new.reply.text != old.reply.text for new, old in zip(decoyed, plain, strict=True)) > 4
    read = [[exchange.reply.usage.prompt_tokens for exchange in served] for served in (plain, decoyed)]
    assert read[1] == [tokens + 2 for tokens in read[0]]
    assert serve(DecoyTools(**words), batch_size=1) == decoyed
    assert serve(DecoyTools(k=0)) == plain


@pytest.mark.parametrize("bad", [{"k": -1}, {"k": 3, "names": ("a", "b", "b")}, {"definition": "a tool"}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        DecoyTools(**bad)
