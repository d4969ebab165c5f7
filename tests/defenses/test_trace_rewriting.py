import pytest
from defense_fakes import FakePreparation, tiny
from hypothesis import given
from hypothesis import strategies as st
from scripted import alone, scripted, thinking

from defenses.primitives.sentences import steps
from defenses.trace_rewriting import TraceRewriting, part
from spiritsafe.account import Account
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Outcome, Reply, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        (" start a ; so b . then c . ", " so b . start a ; then c . "),
        ("a ; b ; c ; d", "b ; a ; d c ;"),
        ("one step only", "one step only"),
        ("Wait, let me check that again. 7 plus 1 is 8.", "7 plus 1 is 8."),
        ("Okay, so a is 3.5. Hmm, that gives b.", "That gives b. So a is 3.5."),
        ("Wait for a. Well known. Let me check 3 x 4 = 12.", "Well known. Wait for a. Let me check 3 x 4 = 12."),
        ("I think that it is 4! okay so 5; ", "5; It is 4! "),
        ("Hmm.", ""),
    ],
)
def test_part_removes_self_talk_and_turns_pairs_around(trace, expected):
    assert part(trace) == expected


@given(st.lists(st.sampled_from(["a", "b c", "3.5", "so d"]), min_size=1, max_size=9))
def test_part_keeps_every_step_that_is_no_self_talk(said):
    trace = " " + "".join(f"{words} ; " for words in said)
    assert sorted(map(str.strip, steps(part(trace)))) == sorted(map(str.strip, steps(trace)))
    assert part(part(trace)) == trace


def test_strength_is_the_share_of_replies_and_nothing_but_ids_decides():
    requests, replies = thinking(300)
    shares = {}
    for strength in (0.0, 0.3, 1.0):
        defense = TraceRewriting(strength=strength)
        shown = defense.rewrite_replies(requests, replies)
        assert shown == alone(defense, requests, replies)
        assert [reply.text for reply in shown] == [reply.text for reply in replies]
        shares[strength] = sum(new is not old for new, old in zip(shown, replies, strict=True)) / 300
    assert shares == {0.0: 0, 0.3: pytest.approx(0.3, abs=0.1), 1.0: 1}


def test_a_model_rewrites_and_keeps_the_answer():
    requests, replies = thinking()
    model = scripted(*range(2, 18))
    defense = TraceRewriting(method="model", proxy=model, instruction="w0")
    shown = defense.rewrite_replies(requests, replies)
    told = " " + " ".join(f"w{word}" for word in range(16)) + " "
    assert [reply.completion for reply in shown] == [f"<think>{told}</think>{reply.text}" for reply in replies]
    assert all((reply.token_ids, reply.logprobs, reply.reasoning_tokens) == ((), None, 0) for reply in shown)
    assert defense.cost().tokens == 17 * len(replies)
    assert TraceRewriting().cost().tokens == 0


@pytest.mark.parametrize("words", [(), (9,), tuple(range(2, 40))])
def test_a_rewrite_that_is_empty_or_strays_in_length_is_not_shown(words):
    requests, replies = thinking()
    defense = TraceRewriting(method="model", proxy=scripted(*words), instruction="w0", ratio=2.0)
    shown = defense.rewrite_replies(requests, replies)
    assert defense.cost().tokens >= len(replies)
    assert all(new is old for new, old in zip(shown, replies, strict=True))


def test_what_has_no_reasoning_is_left_alone():
    thought = " a ; b ; "
    requests = [Request("r", ()), Request("r", ()), Request("r", (), score=f"<think>{thought}</think>")]
    replies = [Reply(Outcome.FAILED), Reply(Outcome.ANSWERED, "a ; b ; "), Reply(Outcome.ANSWERED, "c", thought)]
    shown = TraceRewriting().rewrite_replies(requests, replies)
    assert all(new is old for new, old in zip(shown, replies, strict=True))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_served_through_the_gateway(teacher, family):
    """A tiny teacher thinks only where it is made to; usage and answers are those of the undefended run."""

    def serve(*defenses, batch_size=4):
        for defense in defenses:
            defense.prepare(FakePreparation(teacher))
        gateway = Gateway(teacher, Interface(), defenses, Ledger(), {"a": Account("a")}, seed=3, batch_size=batch_size)
        gateway.sampler.completions.reply = thoughtful(gateway.sampler.completions.reply)
        requests = [Request(f"r{i}", (Message("user", f"w{i}"),), Sampling(max_tokens=14)) for i in range(9)]
        return [exchange.reply for exchange in gateway.serve([Call(request, "a", 0.0) for request in requests])]

    proxy = tiny(family)
    proxy.model.generation_config.eos_token_id = list(range(0, 64, 8))
    knobs = {"method": "model", "proxy": proxy, "instruction": "w0", "ratio": 9.0, "max_tokens": 20}
    plain, defended = serve(), serve(TraceRewriting(**knobs))
    assert [reply.text for reply in defended] == [reply.text for reply in plain]
    assert [reply.usage for reply in defended] == [reply.usage for reply in plain]
    assert any(new != old for new, old in zip(defended, plain, strict=True))
    assert defended == serve(TraceRewriting(**knobs, batch=2), batch_size=1)
    assert serve(TraceRewriting(strength=0.0)) == plain


def thoughtful(reply):
    """All words but the last two are reasoning."""

    def split(*args):
        found = reply(*args)
        words = found.text.split()
        reasoning, text = " ".join(words[:-2]), " ".join(words[-2:])
        return Reply(found.outcome, text, reasoning or None, 0, found.token_ids, None, found.usage, found.finish)

    return split


@pytest.mark.parametrize(
    "bad", [{"strength": 1.5}, {"ratio": 0.5}, {"method": "own"}, {"method": "model", "max_tokens": 0}]
)
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=list(bad)[-1]):
        TraceRewriting(**bad, proxy=tiny())


def test_a_model_is_asked_for_by_name():
    with pytest.raises(UserError, match="proxy="):
        TraceRewriting(method="model")
