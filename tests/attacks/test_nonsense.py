from collections import Counter

import pytest
from campaigning import TASKS, asked, campaign

from attacks.nonsense import Nonsense
from attacks.wording import question
from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.task import Split

WEIGHTS = {task.name: 1 for task in TASKS}


def test_questions_are_public_words_at_their_frequency_and_of_real_length():
    prompts = Nonsense(TASKS, WEIGHTS, 0, 400).propose(400)
    texts = [question(item.messages) for task in TASKS for item in task.items(Split.PUBLIC, 64)]
    public, drawn = (
        Counter(word for text in many for word in text.split())
        for many in (texts, [question(prompt.item.messages) for prompt in prompts])
    )
    assert drawn.keys() <= public.keys()
    for word, times in public.most_common(5):
        assert drawn[word] / drawn.total() == pytest.approx(times / public.total(), rel=0.25)
    assert {len(question(prompt.item.messages).split()) for prompt in prompts} <= {len(text.split()) for text in texts}
    assert not {question(prompt.item.messages) for prompt in prompts} & set(texts)


def test_campaigns_are_prefixes_and_seeds_differ():
    whole = asked(Nonsense(TASKS, WEIGHTS, 0, 60), 60)
    assert asked(Nonsense(TASKS, WEIGHTS, 0, 30), 10, 20) == whole[:30]
    assert len({name for _, name, _ in whole}) == 60
    assert {text for *_, text in asked(Nonsense(TASKS, WEIGHTS, 1, 30), 30)}.isdisjoint({text for *_, text in whole})


def test_every_task_can_hear_and_score_what_came_of_it(tiny, tmp_path):
    exchanges = campaign(tiny, tmp_path, Nonsense(TASKS, WEIGHTS, 0, 30), exchanges=30)
    assert len(exchanges) == 30
    for prompt in Nonsense(TASKS, WEIGHTS, 0, 30).propose(30):
        for text in ("call x y", "answer 7", "", "answer "):
            reply = Reply(Outcome.ANSWERED, text)
            prompt.task.observe(prompt.item, [reply])
            assert not prompt.task.score(prompt.item, [reply]).strict


def test_without_public_words_it_is_refused():
    with pytest.raises(UserError, match=r"attack\.source\.public"):
        Nonsense(TASKS, WEIGHTS, 0, 8, public=0)
