"""A teacher that reads bytes and words, a student that reads letters."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from student_world import LETTERS, examples, student
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from student.alignment import aligned, starts
from student.sft import SFT
from student.training import Recipe, train
from student.uld import ULD

LM = student()
WORDS = ["the cat", "a hat", "then", "at the end"]


def bytes_and_words() -> PreTrainedTokenizerFast:
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        WORDS * 9, trainers.BpeTrainer(vocab_size=285, initial_alphabet=alphabet, special_tokens=["<stop>"])
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<stop>")


TEACHER = bytes_and_words()


def read(ids):
    return TEACHER.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def said(text: str, ended: bool = True) -> Example:
    """What a teacher of the other tokenizer says, with a distribution at each token that tells which one it was."""
    ids = TEACHER(text, add_special_tokens=False)["input_ids"] + [TEACHER.eos_token_id] * ended
    shown = tuple((-0.001 * (i + 1), -9.0) for i in range(len(ids)))
    return Example((Message("user", "a"),), text, "", tuple(ids), tuple((7, 300) for _ in ids), shown)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("the cat日é🙂 n"), max_size=20))
def test_starts_are_the_characters_that_whole_tokens_begin_at(text: str) -> None:
    encoded = TEACHER(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"]
    places = starts(ids, read)
    assert len(places) == len(ids)
    for i, place in enumerate(places):
        before = read(ids[:i])
        assert place == (None if before.endswith("\ufffd") else len(before))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*LETTERS[:20], *WORDS]), max_size=12).map("".join))
def test_a_letter_has_what_was_shown_where_a_token_begins_and_nothing_elsewhere(text: str) -> None:
    row = said(text)
    [found] = aligned(LM, [row], read)
    assert found.token_ids == tuple(LM.completion_ids(text))
    begins = dict(zip(starts(row.token_ids, read), row.top_logprobs, strict=True))
    assert found.top_logprobs == tuple(begins.get(place, ()) for place in range(len(text) + 1))
    assert found.top_logprobs[0] == row.top_logprobs[0]
    assert found.top_logprobs[-1] == row.top_logprobs[-1]  # both ends follow the same text
    assert [len(ids) for ids in found.top_ids] == [len(values) for values in found.top_logprobs]


def test_nothing_aligns_after_the_texts_part_or_without_what_was_shown() -> None:
    row = said("the cat")
    [cut] = aligned(LM, [replace(row, completion="the hat")], read)
    [whole] = aligned(LM, [row], read)
    assert any(whole.top_logprobs[4:])
    assert cut.top_logprobs[:4] == whole.top_logprobs[:4]
    assert not any(cut.top_logprobs[4:])
    [text] = aligned(LM, [replace(row, token_ids=(), top_ids=(), top_logprobs=())], read)
    assert text.token_ids == tuple(LM.completion_ids("the cat"))
    assert (text.top_ids, text.top_logprobs) == ((), ())
    assert aligned(LM, [], read) == []


def test_a_reply_that_was_cut_has_no_end_to_learn_from() -> None:
    [row] = aligned(LM, [said("the cat", ended=False)], read)
    assert row.top_logprobs[0]
    assert row.top_logprobs[-1] == ()


def test_marks_that_read_as_nothing_hide_what_was_shown_where_they_stand() -> None:
    row = said("the cat")
    twice = replace(row, token_ids=(*row.token_ids, TEACHER.eos_token_id), top_logprobs=(*row.top_logprobs, (-5.0,)))
    [found] = aligned(LM, [twice], read)
    assert found.top_logprobs[0] == row.top_logprobs[0]
    assert found.top_logprobs[-1] == ()


def test_a_student_of_another_tokenizer_learns_from_sorted_probabilities(tmp_path) -> None:
    """All letters are alike in the text, so what tells how sure to be is the teacher's distribution."""
    TEACHER.save_pretrained(tmp_path)
    rows = [said(row.completion) for row in examples(40)]
    objective = ULD(weight=20.0, tokenizer=str(tmp_path))
    recipe = Recipe(steps=30, learning_rate=1e-2, batch_size=8)
    learnt, _ = train(LM, objective.align(LM, rows), objective, recipe)
    from_text, _ = train(LM, rows, SFT(), recipe, same_tokenizer=False)
    prompt = torch.tensor([LM.prompt_ids(rows[0].messages)])
    sure = [float(lm.model(prompt).logits[0, -1].softmax(0).max()) for lm in (learnt, from_text)]
    assert sure[0] > 0.5  # on the way to the teacher's 0.999
    assert sure[1] < 0.2
    with pytest.raises(UserError, match=r"objective\.tokenizer"):
        ULD().align(LM, rows)
