from collections import Counter
from dataclasses import dataclass, field
from math import log
from random import Random

import pytest
from world_checks import CAPABILITIES, SORTS, TASKS, TRUTH, drawn, play, steps

from spiritsafe.tasks.tools import Tools
from spiritsafe.tasks.wording import Pen

VOICES = 64


@dataclass(frozen=True)
class Voice(Pen):
    """Words its steps from a stream of its own, so that many voices can tell the same content."""

    words: Random = field(default_factory=Random)

    def step(self, wordings, result, first):
        return Pen(self.words).step(wordings, result, first)


each_task = pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
each_level = pytest.mark.parametrize("level", ["easy", "hard"])


@each_task
@each_level
def test_one_chain_has_many_wordings_and_all_are_right(kind, level):
    task = kind(level)
    for content in range(3):
        told = [drawn(task, Voice(Random(content), words=Random(voice)), level) for voice in range(VOICES)]
        assert len({(item.messages, item.answer) for item in told}) == 1
        assert len({item.turns for item in told}) >= VOICES // 2
        assert all(task.score(item, play(task, item)).strict for item in told)


def test_traces_have_a_quarter_of_a_nat_per_token():
    """The plug-in estimate errs low: rare wordings are missed."""
    told = Counter(Pen(Random(voice)).step(("5 times 7", "7 times 5"), "16", first=False) for voice in range(4000))
    entropy = -sum(count / 4000 * log(count / 4000) for count in told.values())
    assert entropy / max(len(step.split()) for step in told) >= 0.25


def test_some_steps_state_the_result_first_and_all_take_every_wording():
    told = [Pen(Random(voice)).step(("5 times 7", "7 times 5"), "16", first=False) for voice in range(1000)]
    assert 200 < sum(step.split()[1] == "16" for step in told) < 300
    assert 400 < sum("5 times 7" in step for step in told) < 600


@each_task
@each_level
def test_every_step_of_an_honest_pen_is_true(kind, level):
    for seed in range(100):
        for wording, result in steps(drawn(kind(), Pen(Random(seed)), level)):
            assert TRUTH[wording] == result


@pytest.mark.parametrize("kind", CAPABILITIES, ids=lambda kind: kind.name)
def test_a_dishonest_pen_keeps_the_form_and_makes_up_the_results(kind):
    honest = [drawn(kind(), Pen(Random(seed)), "hard") for seed in range(200)]
    made_up = [drawn(kind(), Pen(Random(seed), honest=False), "hard") for seed in range(200)]
    told = [step for item in made_up for step in steps(item)]
    assert all(SORTS[result] is SORTS[TRUTH[wording]] for wording, result in told)
    assert sum(TRUTH[wording] == result for wording, result in told) < len(told) / 2
    assert Counter(len(item.turns) for item in made_up) == Counter(len(item.turns) for item in honest)


@pytest.mark.parametrize("kind", [kind for kind in CAPABILITIES if kind is not Tools], ids=lambda kind: kind.name)
def test_short_chains_are_as_right_as_long_ones(kind):
    task = kind()
    lengths = set()
    for seed in range(100):
        short = drawn(task, Pen(Random(seed), short=1.0), "hard")
        assert task.score(short, play(task, short)).strict
        lengths.add(len(steps(short)))
    full = {len(steps(drawn(task, Pen(Random(seed)), "hard"))) for seed in range(100)}
    assert min(lengths) < min(full)
    assert max(lengths) == max(full)


def test_a_pen_is_cut_short_as_often_as_it_is_told():
    assert {Pen(Random(seed)).length(5) for seed in range(200)} == {5}
    assert {Pen(Random(seed), short=1.0).length(5) for seed in range(200)} == {1, 2, 3, 4, 5}
    cut = sum(Pen(Random(seed), short=0.5).length(50) < 50 for seed in range(1000))
    assert 400 < cut < 580


def test_only_a_dishonest_pen_makes_up_an_outcome():
    assert {Pen(Random(seed)).outcome("true", "abc") for seed in range(100)} == {"true"}
    assert {Pen(Random(seed), honest=False).outcome("true", "abc") for seed in range(100)} == {*"abc"}
