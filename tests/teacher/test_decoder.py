"""The decoder against a plain forward pass over each row alone."""

import random

import pytest
import torch
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel
from teacher.decoder import Decoder, spans
from teacher.rows import without


def alone(language_model: LanguageModel, tokens: list[int]) -> Tensor:
    return language_model.model(torch.tensor([tokens])).logits[0, -1]


def test_rows_that_come_and_go_read_as_if_alone(language_model: LanguageModel) -> None:
    rng = random.Random(0)
    decoder = Decoder(language_model.model, slots=2, columns=8)  # too small on purpose: it must grow
    rows: list[list[int]] = []
    for _ in range(25):
        arriving = [[rng.randrange(45) for _ in range(rng.randint(0, 30))] for _ in range(rng.randint(0, 3))]
        if arriving:
            decoder.admit(arriving)
            rows += arriving
        if not rows:
            continue
        tokens = [rng.randrange(45) for _ in rows]
        rows = [[*row, token] for row, token in zip(rows, tokens, strict=True)]
        logits = decoder.step(torch.tensor(tokens))
        expected = torch.stack([alone(language_model, row) for row in rows])
        torch.testing.assert_close(logits, expected, atol=2e-4, rtol=2e-4)
        leaving = [row for row in range(len(rows)) if rng.random() < 0.15]
        index = without(len(rows), leaving)
        decoder.keep(index)
        rows = [rows[i] for i in index.tolist()]


def test_copies_see_the_batch_one_after_the_other(language_model: LanguageModel) -> None:
    decoder = Decoder(language_model.model, copies=2, slots=3, columns=16)
    prompts = [[5, 6, 7, 8], [9], [10, 11]]
    decoder.admit(prompts)
    decoder.keep(torch.tensor([0, 2]))
    logits = decoder.step(torch.tensor([20, 21]))
    expected = torch.stack([alone(language_model, [*prompts[0], 20]), alone(language_model, [*prompts[2], 21])])
    torch.testing.assert_close(logits, expected.expand(2, -1, -1), atol=2e-4, rtol=2e-4)


def test_a_row_longer_than_the_model_reads_is_an_error(llama: LanguageModel) -> None:
    decoder = Decoder(llama.model)
    decoder.admit([[5] * 160])
    with pytest.raises(UserError, match="161 tokens is longer than the 160"):
        decoder.step(torch.tensor([5]))


def test_spans_hold_every_row_once_within_the_limit() -> None:
    lengths = [4000, 4000, 300, 9000, 1, 1, 0]
    found = list(spans(lengths, 8192))
    assert [row for first, last in found for row in range(first, last)] == list(range(len(lengths)))
    assert found == [(0, 2), (2, 3), (3, 4), (4, 7)]


@pytest.mark.parametrize(("rows", "leaving"), [(5, [0, 4]), (5, [3]), (3, [0, 1, 2]), (4, []), (6, [1, 2, 5])])
def test_without_keeps_the_others_and_moves_few(rows: int, leaving: list[int]) -> None:
    index = without(rows, leaving).tolist()
    assert sorted(index) == [row for row in range(rows) if row not in leaving]
    assert sum(target != source for target, source in enumerate(index)) <= len(leaving)
