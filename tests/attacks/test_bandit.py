import numpy as np
import pytest
from campaigning import TASKS, asked, campaign, workshop

from attacks.bandit import TopicBandit
from spiritsafe.attack import equipped
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome, Reply, Request, Sampling

WEIGHTS = {"programs": 1, "facts": 3}


def source(**more) -> TopicBandit:
    return TopicBandit(TASKS, WEIGHTS, 0, 200, **more)


def reply_to(prompt, text: str, outcome=Outcome.ANSWERED) -> Exchange:
    request = Request(f"{prompt.item.id}@0#0", prompt.item.messages)
    return Exchange(request, Reply(outcome, text), "account-00000", 0.0, task=prompt.task.name, item=prompt.item.id)


def test_before_any_reward_the_weights_decide():
    assert source().policy == pytest.approx([0.25, 0.75])  # in the order of the tasks: programs, facts
    drawn = [task for task, *_ in asked(source(), 200)]
    assert drawn.count("facts") == pytest.approx(150, abs=25)


def test_the_preferences_follow_the_gradient_of_the_expected_reward():
    bandit = source(rate=1e-4)
    bandit._mean, bandit._rewards = 0.4, 10**9
    before, policy, rewards = bandit._preferences.copy(), bandit.policy, np.array([0.9, 0.2])
    step = np.zeros(2)
    for arm in range(2):
        fresh = source(rate=1e-4)
        fresh._mean, fresh._rewards = 0.4, 10**9
        fresh._learn(arm, rewards[arm])
        step += policy[arm] * (fresh._preferences - before) / 1e-4
    gradient = policy * (rewards - policy @ rewards)  # of policy @ rewards with respect to the preferences
    assert step == pytest.approx(gradient)


def test_what_is_new_is_asked_more():
    bandit = source(rate=0.5)
    for place in range(20):
        prompts = bandit.propose(10)
        bandit.observe(
            [
                reply_to(each, f"a{place}x{n} b{n} c" if each.task.name == "programs" else "the same old thing")
                for n, each in enumerate(prompts)
            ]
        )
    assert bandit.policy[0] > 0.6


def test_novelty_counts_grams_once_and_refusals_as_nothing():
    bandit = source()
    prompt = bandit.propose(1)[0]
    texts = ["a b c d", "a b c e", "a b c d", "a"]
    assert [bandit._novelty(reply_to(prompt, text)) for text in texts] == [1, 0.5, 0, 0]
    assert bandit._novelty(reply_to(prompt, "x y z", Outcome.REFUSED)) == 0


def test_disagreement_is_with_the_student_trained_on_every_round(tiny):
    learned = []
    bandit = source(reward="disagreement", round=4, max_tokens=4)
    home = workshop(tiny, learned)
    equipped(bandit, home)
    prompts = bandit.propose(4)
    greedy = Sampling(temperature=0.0, max_tokens=4)
    own = home.respond(tiny, [Request("own", prompts[0].item.messages, greedy)])[0]
    same = [reply_to(prompts[0], own.text)]
    other = [reply_to(each, "answer nothing") for each in prompts[1:3]]
    blocked = [reply_to(prompts[3], "", Outcome.BANNED)]
    assert own.text.strip()
    assert bandit._rewarded(same + other + blocked) == [0, 1, 1, 0]
    assert [len(rows) for rows in learned] == [3]


def test_easy_levels_are_arms_when_asked_for():
    levels = {prompt.item.level for prompt in source(levels=True).propose(40)}
    assert levels == {"easy", "hard"}
    assert source(levels=True).policy == pytest.approx([0.125, 0.375, 0.125, 0.375])


def test_a_campaign_resumes_to_the_same(tiny, tmp_path):
    whole = campaign(tiny, tmp_path / "whole", source())
    assert campaign(tiny, tmp_path / "cut", source(), exchanges=16) == whole[:16]
    assert campaign(tiny, tmp_path / "cut", source()) == whole


def test_options_that_cannot_be_are_refused():
    for options in ({"reward": "luck"}, {"rate": 0}, {"round": 0}):
        with pytest.raises(UserError, match=r"attack\.source"):
            source(**options)
    bandit = source(reward="disagreement")
    with pytest.raises(UserError, match="reward=novelty"):
        bandit.observe([reply_to(bandit.propose(1)[0], "x")])
