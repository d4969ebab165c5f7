import numpy as np
import pytest
import torch
from campaigning import TASKS, asked, campaign, workshop

from attacks.active import Active, disagreement, entropy, farthest
from attacks.pool import Pool
from spiritsafe.attack import equipped
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Logprobs, Outcome, Reply, Request, Sampling
from spiritsafe.task import Split
from teacher.sampler import Sampler

WEIGHTS = {"programs": 1, "recipes": 1}


def source(size=64, score="kcenter", **more) -> Active:
    return Active(TASKS, WEIGHTS, 0, size, score=score, round=8, **more)


def heard(prompt_id: str) -> Exchange:
    return Exchange(Request(prompt_id, ()), Reply(Outcome.ANSWERED, "answer 7"), "account-00000", 0.0)


def test_entropy_of_all_tokens_is_the_entropy_and_of_the_top_ones_a_lower_bound(tiny):
    messages = TASKS[0].items(Split.TEST, 1)[0].messages
    ask = Request("r", messages, Sampling(temperature=0.0, max_tokens=6), top_logprobs=tiny.vocabulary)
    reply = Sampler(tiny).respond([ask])[0]
    prompt = tiny.prompt_ids(messages)
    with torch.inference_mode():
        logits = tiny.model(torch.tensor([prompt + list(reply.token_ids)])).logits[0, len(prompt) - 1 : -1]
    expected = torch.distributions.Categorical(logits=logits.double()).entropy().mean()
    assert entropy(reply) == pytest.approx(float(expected), abs=1e-5)
    few = Sampler(tiny).respond([Request("r", messages, ask.sampling, top_logprobs=5)])[0]
    assert 0 < entropy(few) < entropy(reply)


def test_entropy_of_certainty_and_of_nothing_is_zero():
    certain = Logprobs(((3, 4),), ((0.0, float("-inf")),), (0.0,))
    assert entropy(Reply(Outcome.ANSWERED, logprobs=certain)) == 0
    assert entropy(Reply(Outcome.FAILED)) == entropy(Reply(Outcome.ANSWERED, logprobs=Logprobs((), (), ()))) == 0


def test_disagreement_is_the_chance_that_two_draws_differ():
    answers = ["a", "b", "a", "c"]
    pairs = [left != right for left in answers for right in answers]
    assert disagreement(answers) == pytest.approx(np.mean(pairs))
    assert disagreement(["a"] * 4) == 0


def test_kcenter_takes_the_farthest_each_time():
    rng = np.random.default_rng(0)
    points, centres = rng.normal(size=(12, 5)).astype(np.float32), rng.normal(size=(3, 5)).astype(np.float32)
    known, expected = list(centres), []
    for _ in range(5):
        gaps = [-1 if place in expected else min(((p - c) ** 2).sum() for c in known) for place, p in enumerate(points)]
        expected.append(int(np.argmax(gaps)))
        known.append(points[expected[-1]])
    assert farthest(points, centres, 5) == expected
    assert sorted(farthest(points, points, 12)) == list(range(12))


def test_the_first_round_is_the_plain_pool_and_smaller_budgets_are_prefixes():
    whole = asked(source(), 8, 8, 8)
    assert whole[:8] == asked(Pool(TASKS, WEIGHTS, 0, 8), 8)
    assert len(set(whole)) == 24
    assert asked(source(size=20), 5, 3, 8, 8) == whole
    assert len(source().propose(30)) == 8  # the next round waits for this one's replies
    assert source().propose(0) == []


def wavering(model, requests) -> list[Reply]:
    """Gives one to four answers to a question, by its words."""
    kinds = [1 + len(str(request.messages)) % 4 for request in requests for _ in range(request.samples)]
    return [Reply(Outcome.ANSWERED, f"answer {place % kind}") for place, kind in enumerate(kinds)]


@pytest.mark.parametrize("score", ["entropy", "disagreement"])
def test_later_rounds_ask_what_the_student_is_least_sure_of(score, tiny):
    learned = []
    home = workshop(tiny, learned)
    if score == "disagreement":
        home.respond = wavering
    active = source(score=score, max_tokens=6)
    equipped(active, home)
    active.propose(8)
    active.observe([heard(f"{place}") for place in range(8)])
    chosen = active.propose(8)
    assert [len(rows) for rows in learned] == [8]
    plain = Pool(TASKS, WEIGHTS, 0, 64)
    plain.propose(8)
    candidates = plain.propose(32)
    scored = active._entropies if score == "entropy" else active._disagreements
    scores = dict(zip([prompt.item.id for prompt in candidates], scored(tiny, home.respond, candidates), strict=True))
    picked = [scores.pop(prompt.item.id) for prompt in chosen]
    assert picked == sorted(picked, reverse=True)
    assert len(picked) == 8
    assert min(picked) >= max(scores.values())
    assert max(picked) > min(scores.values())


def test_a_student_that_heard_nothing_is_used_as_it_is(tiny):
    learned = []
    active = source(score="entropy", max_tokens=2)
    equipped(active, workshop(tiny, learned))
    active.propose(8)
    assert len(active.propose(8)) == 8
    assert learned == []


def test_a_campaign_comes_out_the_same_when_it_is_resumed(tiny, tmp_path):
    whole = campaign(tiny, tmp_path / "whole", source(score="entropy", max_tokens=4))
    assert len(whole) == 24
    short = campaign(tiny, tmp_path / "cut", source(size=16, score="entropy", max_tokens=4), exchanges=16)
    assert short == whole[:16]
    assert campaign(tiny, tmp_path / "cut", source(score="entropy", max_tokens=4)) == whole


def test_options_that_cannot_be_are_refused():
    for options in ({"score": "luck"}, {"candidates": 0}, {"samples": 1}):
        with pytest.raises(UserError, match=r"attack\.source"):
            source(**options)
    with pytest.raises(UserError, match="size to 1 or more"):
        source(size=0)
    unequipped = source(score="entropy")
    unequipped.propose(8)
    with pytest.raises(UserError, match="score=kcenter"):
        unequipped.propose(8)
