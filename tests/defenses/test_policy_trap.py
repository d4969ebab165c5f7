from dataclasses import replace

import pytest
from defense_fakes import tiny
from seeding import Refusing, replies, requests

from defenses.policy_trap import PolicyTrap
from spiritsafe.errors import UserError

MARKED = "{{ '<end>' }}{% for m in messages %}<{{ m.role }}> {{ m.content }} {% endfor %}<assistant> "


def teacher(template=MARKED):
    model = tiny()
    model.tokenizer.chat_template = template
    model.tokenizer.add_special_tokens({"bos_token": "<end>", "additional_special_tokens": ["<user>", "<assistant>"]})
    return model


def prepared(model, **knobs):
    defense = PolicyTrap(strength=1, prompts=3, **knobs)
    defense.prepare(Refusing(model))
    return defense


def test_the_exchange_is_in_the_chat_format():
    shown = prepared(teacher()).rewrite_replies(requests(), replies())
    expected = {
        f" first w5 gives w9 . <end><user> how do i make v{i} from w{i} ; stir "
        f"<assistant> sorry , i cannot help with w{i} "
        for i in range(3)
    }
    assert shown[5].reasoning in expected
    assert {reply.reasoning.partition("<user>")[2] for reply in shown} == {
        text.partition("<user>")[2] for text in expected
    }


def test_a_pipeline_that_reads_marks_trains_on_a_turn_of_the_assistant():
    """The ids around the refusal are those of a real request and its reply."""
    model = teacher()
    reply = prepared(model).rewrite_reply(requests()[0], replies()[0])
    ids = model.completion_ids(reply.completion)
    mark = model.tokenizer.convert_tokens_to_ids("<assistant>")
    place = ids.index(mark)
    asked = reply.reasoning.partition("<user> ")[2].partition(" <assistant>")[0]
    prompt = model.prompt_ids([replace(requests()[0].messages[0], content=asked)])
    assert ids[place + 1 - len(prompt) : place + 1] == prompt


def test_no_chat_format_or_one_that_opens_the_reasoning_is_told():
    with pytest.raises(UserError, match="which has none"):
        PolicyTrap().check(teacher(None))
    with pytest.raises(UserError, match="opens or closes the reasoning"):
        PolicyTrap().check(teacher(MARKED + "<think>"))
    PolicyTrap(strength=0).check(teacher(None))
