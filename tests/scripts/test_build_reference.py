from itertools import islice
from random import Random

import pytest

from scripts.build_reference import (
    CAPABILITIES,
    lesson,
    refusal_lesson,
    student_lessons,
    teacher_lessons,
    tokenizer,
    vocabulary,
)
from spiritsafe.attack import demonstrations
from spiritsafe.exchange import END_THINK, THINK, Message
from spiritsafe.task import Split
from spiritsafe.tasks.procedural import Procedural
from spiritsafe.tasks.recipes import REFUSALS, Lookalike, Restricted
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import PROCESSES, RESTRICTED, SUBSTANCES

TASKS = (*CAPABILITIES, Restricted, Lookalike)
LEARNABLE = {Split.POOL, Split.PUBLIC}


@pytest.fixture(scope="module")
def words():
    return tokenizer()


def chat(messages) -> list[dict[str, str]]:
    return [{"role": message.role, "content": message.content} for message in messages]


def there_and_back(words, text: str) -> str:
    ids = words(text, add_special_tokens=False)["input_ids"]
    assert words.unk_token_id not in ids, text
    return words.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("level", ["easy", "hard"])
def test_everything_a_task_says_is_one_token_a_word(words, kind, level):
    for split in Split:
        for item in kind(level).items(split, 60 if level == "easy" else 120):
            for text in (message.content for message in (*item.messages, *item.turns)):
                assert there_and_back(words, text) == text
                assert len(words.tokenize(text)) == len(text.split())


def test_every_refusal_is_one_token_a_word(words):
    for text in (wording.format(product) for wording in REFUSALS for product in RESTRICTED):
        assert there_and_back(words, text) == text


def test_what_nobody_says_is_unknown(words):
    assert words("elephant", add_special_tokens=False)["input_ids"] == [words.unk_token_id]


def test_the_vocabulary_is_the_same_each_time_and_has_no_word_twice(words):
    listed = vocabulary()
    assert listed == sorted({*listed})
    assert words.convert_ids_to_tokens(range(len(words)))[-len(listed) :] == listed


def test_think_marks_are_shown_and_role_marks_are_not(words):
    text = f"<begin><user> {THINK} 3 {END_THINK} 4 <end>"
    assert there_and_back(words, text) == f"{THINK} 3 {END_THINK} 4"


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_the_template_forgets_the_reasoning_of_earlier_turns(words, kind):
    for item in kind().items(Split.POOL, 20):
        raw = words.apply_chat_template(chat([*item.messages, *item.turns]), tokenize=False)
        assert THINK not in raw
        assert END_THINK not in raw
        for count, row in enumerate(demonstrations(item)):
            kept = words.apply_chat_template(chat(row.messages), tokenize=False, add_generation_prompt=True)
            whole = chat([*item.messages, *item.turns[: 2 * count]])
            stripped = words.apply_chat_template(whole, tokenize=False, add_generation_prompt=True)
            assert kept.split() == stripped.split()
            assert there_and_back(words, kept)


def test_a_rendered_conversation(words):
    messages = [Message("user", "3"), Message("assistant", f"{THINK} 1 {END_THINK} 2"), Message("tool", "4")]
    rendered = words.apply_chat_template(chat(messages), tokenize=False, add_generation_prompt=True)
    tokens = words.convert_ids_to_tokens(words(rendered, add_special_tokens=False)["input_ids"])
    assert tokens == ["<begin>", "<user>", "3", "<assistant>", "2", "<end>", "<tool>", "4", "<assistant>"]


@pytest.fixture
def finished(monkeypatch):
    """The parts of the items that are made into lessons, as they are made."""
    parts, finish = [], Procedural.finish

    def watched(self, draft, *rest):
        parts.append(self.part(draft))
        return finish(self, draft, *rest)

    monkeypatch.setattr(Procedural, "finish", watched)
    return parts


def test_lessons_are_never_of_calibration_or_test_content(finished):
    assert len([*islice(teacher_lessons(0), 500), *islice(student_lessons(0, aligned=True), 500)]) == 1000
    list(islice(student_lessons(0, aligned=False), 500))
    assert len(finished) > 500
    assert {*finished} == LEARNABLE


def test_refusals_are_never_taught_on_calibration_or_test_content():
    def content(prompt: str) -> str:
        return " ".join(word for word in prompt.split() if word in (*SUBSTANCES, *PROCESSES))

    items = [item for split in {*Split} - LEARNABLE for item in Restricted("easy").items(split, 100)]
    pen = Pen(Random(0))
    taught = {content(refusal_lesson(pen, "easy")[0].messages[-1].content) for _ in range(200)}
    assert not taught & {content(item.messages[0].content) for item in items}


@pytest.mark.parametrize("kind", TASKS, ids=lambda kind: kind.name)
def test_a_lesson_is_what_the_task_demonstrates(kind):
    rows = lesson(Pen(Random(1)), kind(), "easy")
    assert rows[0].messages[0].role == "user"
    assert all(row.completion.startswith(THINK) for row in rows)
    assert rows[-1].completion.partition(END_THINK)[2].startswith(" answer ")
