import pytest
import torch
from defense_fakes import FakePreparation, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import alone, thinking

from defenses.anchor_deletion import AnchorDeletion
from defenses.primitives.sentences import steps
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message, Outcome, Reply, Request


class Preparation(FakePreparation):
    """Traces that think."""

    def traces(self, count, tasks=None):
        requests, replies = thinking(min(count, 12), length=3)
        return [Example(r.messages, reply.completion) for r, reply in zip(requests, replies, strict=True)]


def prepared(teacher, proxy, **knobs):
    defense = AnchorDeletion(proxy=proxy, **{"kappa": 50.0, "delta": 1.0, **knobs})
    defense.prepare(Preparation(teacher))
    return defense


def nll(model, context, target):
    """−log p of the target's tokens after the context, one token at a time."""
    total, ids = 0.0, list(context)
    for token in target:
        total -= float(model.model(input_ids=torch.tensor([ids])).logits[0, -1].log_softmax(-1)[token])
        ids.append(token)
    return total


def level(model, request, trace):
    start = model.prompt_ids(request.messages, THINK)
    target = model.prompt_ids(request.messages, THINK + trace)[len(start) :]
    return nll(model, start, target) / len(target), len(target)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_the_step_that_the_answer_needs_most_goes(teacher, family):
    proxy = tiny(family, seed=2)
    defense = prepared(teacher, proxy, share=0.25)
    requests, replies = thinking(3)
    for request, reply, shown in zip(requests, replies, defense.rewrite_replies(requests, replies), strict=True):
        parts = steps(reply.reasoning)
        left = [" " + "".join(parts[:i] + parts[i + 1 :]).strip() + " " for i in range(4)]
        losses = [
            nll(
                proxy,
                proxy.prompt_ids(request.messages, THINK + trace + END_THINK),
                proxy.completion_ids(reply.text),
            )
            for trace in left
        ]
        assert shown.reasoning == left[losses.index(max(losses))]
        assert (shown.text, shown.usage, shown.token_ids, shown.logprobs) == (reply.text, reply.usage, (), None)


@settings(max_examples=12, deadline=None)
@given(
    share=st.floats(0.2, 1.0),
    kappa=st.floats(-1.5, 2.0),
    delta=st.floats(0.1, 1.0),
    targeted=st.booleans(),
)
def test_the_bounds_hold_for_every_trace_that_changed(teacher, proxy, share, kappa, delta, targeted):
    defense = prepared(teacher, proxy, share=share, kappa=kappa, delta=delta, targeted=targeted)
    requests, replies = thinking(4)
    mean, spread = defense.usual
    for request, reply, shown in zip(requests, replies, defense.rewrite_replies(requests, replies), strict=True):
        if shown is not reply:
            now, length = level(proxy, request, shown.reasoning)
            assert (now - mean) / spread < kappa + 1e-3
            assert 1 - delta <= length / level(proxy, request, reply.reasoning)[1] < 1
            assert 4 - len(steps(shown.reasoning)) <= round(4 * share + 1e-9)


def test_a_bound_that_binds_lets_fewer_steps_go_or_none(teacher, proxy):
    requests, replies = thinking(6)

    def gone(**knobs):
        shown = prepared(teacher, proxy, share=0.75, **knobs).rewrite_replies(requests, replies)
        return [4 - len(steps(reply.reasoning)) for reply in shown]

    assert gone() == [3] * 6
    assert gone(delta=0.5) == [2] * 6
    assert gone(delta=0.25) == [1] * 6
    assert gone(delta=0.1) == [0] * 6
    assert gone(kappa=-50.0) == [0] * 6
    assert 0 < sum(gone(kappa=0.0)) < 18


def test_usual_is_the_mean_and_spread_of_the_teachers_traces(teacher, proxy):
    defense = prepared(teacher, proxy)
    requests, replies = thinking(12, length=3)
    levels = torch.tensor([level(proxy, q, r.reasoning)[0] for q, r in zip(requests, replies, strict=True)])
    assert defense.usual == (
        pytest.approx(float(levels.mean()), abs=1e-4),
        pytest.approx(float(levels.std()), abs=1e-4),
    )
    assert defense.summary() == {"mean_nll": defense.usual[0], "sd_nll": defense.usual[1]}


@pytest.mark.parametrize("targeted", [True, False])
def test_batches_do_not_matter(teacher, proxy, targeted):
    requests, replies = thinking(9)
    defense = prepared(teacher, proxy, share=0.5, targeted=targeted)
    assert defense.rewrite_replies(requests, replies) == alone(defense, requests, replies)


def test_the_control_deletes_as_many_steps_but_others(teacher, proxy):
    requests, replies = thinking(20)
    aimed, random, again = (
        prepared(teacher, proxy, share=0.5, targeted=targeted, key=key).rewrite_replies(requests, replies)
        for targeted, key in ((True, 0), (False, 0), (False, 1))
    )
    assert {len(steps(reply.reasoning)) for reply in (*aimed, *random, *again)} == {2}
    same = sum(first == second for first, second in zip(aimed, random, strict=True))
    assert same < 12
    assert random != again


def test_the_control_deletes_no_more_than_the_bounds_left_its_rival(teacher, proxy):
    requests, replies = thinking(20)
    gone = [
        [
            4 - len(steps(reply.reasoning))
            for reply in prepared(teacher, proxy, share=0.75, kappa=0.0, targeted=targeted).rewrite_replies(
                requests, replies
            )
        ]
        for targeted in (True, False)
    ]
    assert all(random <= aimed for aimed, random in zip(*gone, strict=True))
    assert 0 < sum(gone[1]) <= sum(gone[0]) < 60


def test_no_share_touches_nothing_and_reads_nothing(teacher, proxy):
    requests, replies = thinking(3)
    defense = prepared(teacher, proxy, share=0)
    assert all(new is old for new, old in zip(defense.rewrite_replies(requests, replies), replies, strict=True))
    assert (defense.usual, defense.cost().forwards) == (None, 0)


def test_what_cannot_lose_a_step_is_left_alone(teacher, proxy):
    requests = [Request(f"r{i}", (Message("user", "w1"),)) for i in range(4)]
    replies = [
        Reply(Outcome.REFUSED, reason="no"),
        Reply(Outcome.ANSWERED, "w2 ; w3 ;"),
        Reply(Outcome.ANSWERED, "w2", " w3 w4 . "),
        Reply(Outcome.ANSWERED, "", " w3 ; w4 ; w5"),  # it never came to an answer
    ]
    shown = prepared(teacher, proxy, share=1.0).rewrite_replies(requests, replies)
    assert all(new is old for new, old in zip(shown, replies, strict=True))


def test_cost_is_what_the_proxy_reads_for_each_token_served(teacher, proxy):
    (request,), (reply,) = thinking(1, length=2)
    defense = prepared(teacher, proxy, share=0.5)
    (shown,) = defense.rewrite_replies([request], [reply])
    first, second = (
        len(proxy.prompt_ids(request.messages, f"{THINK} {step.strip()} {END_THINK}"))
        for step in steps(reply.reasoning)
    )
    left = len(proxy.prompt_ids(request.messages, THINK + shown.reasoning))
    answer = len(proxy.completion_ids(reply.text))
    assert defense.cost().forwards * reply.usage.completion_tokens == first + second + 2 * answer + left
    assert defense.cost().tokens == 0


def test_traces_longer_than_the_proxys_context_are_cut(teacher, proxy):
    requests, replies = thinking(2, length=30)
    assert len(proxy.completion_ids(replies[0].completion)) > proxy.model.config.max_position_embeddings
    shown = prepared(teacher, proxy, share=0.1).rewrite_replies(requests, replies)
    assert [len(steps(reply.reasoning)) for reply in shown] == [27, 27]


def test_a_teacher_that_does_not_think_is_refused(teacher, proxy):
    with pytest.raises(UserError, match="reasons"):
        AnchorDeletion(proxy=proxy).prepare(FakePreparation(teacher))


@pytest.mark.parametrize("bad", [{"share": 1.5}, {"delta": -0.1}, {"traces": 1}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        AnchorDeletion(proxy=proxy, **bad)
