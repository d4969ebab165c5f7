from itertools import combinations
from pathlib import Path

import pytest

from spiritsafe.attack import demonstrations
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.task import Behaviour, Split
from spiritsafe.tasks.stories import Stories

WHOLE = [f"Story {n} of a fox,\nwho said: number {n}!  And so it went on" for n in range(50)]


@pytest.fixture
def path(tmp_path) -> Path:
    file = tmp_path / "stories.txt"
    file.write_text(
        "<|endoftext|>".join(["cut at the start", *(f"\n{story}\n" for story in WHOLE), "too short", "cut at"])
    )
    return file


@pytest.fixture
def task(path) -> Stories:
    return Stories(str(path), words=5, continuation=4)


def test_prompt_and_continuation_are_the_story_to_the_letter(task):
    for item in (item for split in Split for item in task.items(split, 99)):
        (example,) = demonstrations(item)
        story = item.messages[0].content + example.completion
        number = int(item.cluster)
        assert WHOLE[number].startswith(story)
        assert item.messages[0].content == f"Story {number} of a fox,"
        assert example.completion == f"\nwho said: number {number}!"
        assert item.answer == "who"


def test_splits_share_no_story_and_lose_none(task):
    parts = {split: {item.id for item in task.items(split, 99, seed=3)} for split in Split}
    assert all(parts[a].isdisjoint(parts[b]) for a, b in combinations(Split, 2))
    assert len(set().union(*parts.values())) == len(WHOLE)
    assert parts[Split.TEST] == {item.id for item in task.items(Split.TEST, 99, seed=4)}


def test_shorter_lists_are_prefixes_and_seeds_change_the_order(task):
    whole = task.items(Split.POOL, 30)
    assert task.items(Split.POOL, 7) == whole[:7]
    assert task.items(Split.POOL, 30, seed=1) != whole


@pytest.mark.parametrize(
    ("text", "strict", "flexible"),
    [(" who was", True, True), ("who", True, True), (" Who, then", False, True), ("\nwhose fox", False, False)],
)
def test_the_next_word_is_what_counts(task, text, strict, flexible):
    score = task.score(task.items(Split.TEST, 1)[0], [Reply(Outcome.ANSWERED, text)])
    assert (score.strict, score.flexible, score.extracted, score.behaviour) == (
        strict,
        flexible,
        True,
        Behaviour.COMPLY,
    )


@pytest.mark.parametrize(
    ("reply", "behaviour"),
    [
        (Reply(Outcome.ANSWERED, " \n"), Behaviour.INVALID),
        (Reply(Outcome.FAILED, "who"), Behaviour.INVALID),
        (Reply(Outcome.REFUSED), Behaviour.REFUSE),
    ],
)
def test_no_reply_is_no_success(task, reply, behaviour):
    score = task.score(task.items(Split.TEST, 1)[0], [reply])
    assert (score.strict, score.flexible, score.extracted, score.behaviour) == (False, False, False, behaviour)


def test_what_cannot_be_read_is_refused_with_a_remedy(path):
    with pytest.raises(UserError, match="set the path of task stories"):
        Stories(str(path.with_name("nowhere.txt"))).items(Split.POOL, 1)
    with pytest.raises(UserError, match="fewer words"):
        Stories(str(path), words=1000).items(Split.POOL, 1)
    with pytest.raises(UserError, match="1 or more"):
        Stories(str(path), words=0)
