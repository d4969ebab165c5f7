import random
from dataclasses import replace

import pytest
import torch
from workshops import workshop

from attacks.likelihood import StudentLikelihood
from attacks.reading import mean_nll
from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.measures.nll import nll
from spiritsafe.models import load


@pytest.fixture(scope="module")
def student(tiny_world):
    return load(str(tiny_world.student), device="cpu")


def row(prompt: str, completion: str) -> Example:
    return Example((Message("user", prompt),), completion)


ROWS = [
    row("compute 5 times 7", "<think> first 5 times 7 gives 35 . </think> answer 35"),
    row("compute 5 times 7", "answer 35"),
    row("what is 2 plus 3", "answer 5"),
    row("compute 5 times 7", "so 7 times 5 is 35 ; answer 35 answer 35 answer 35"),
    row("what is 2 plus 3", "<think> now 3 plus 2 makes 5 ; </think> answer 5"),
    row("run a = 3", "answer 3"),
]


def refined(student, rows, batch=16):
    part = StudentLikelihood(batch)
    part.equip(workshop(student))
    return part.refine(rows)


def test_likelihoods_are_those_of_one_row_alone_whatever_the_batch(student):
    alone = torch.tensor([nll(student, [each], end=True)[0] for each in ROWS], dtype=torch.float64)
    for batch in (1, 4, 16):
        assert torch.allclose(mean_nll(student, ROWS, batch), alone, atol=1e-5)


def test_of_rivals_the_likeliest_stays_and_the_others_of_one_prompt_go(student):
    score = {each: nll(student, [each], end=True)[0] for each in ROWS}
    best = [min(group, key=score.__getitem__) for group in ([ROWS[i] for i in (0, 1, 3)], [ROWS[i] for i in (2, 4)])]
    assert refined(student, ROWS) == [each for each in ROWS if each in [*best, ROWS[5]]]
    assert refined(student, ROWS, batch=2) == refined(student, ROWS)


def test_what_is_kept_does_not_depend_on_the_order(student):
    shuffled = random.Random(3).sample(ROWS, len(ROWS))
    assert set(refined(student, shuffled)) == set(refined(student, ROWS))


def test_rows_without_rivals_and_of_another_prefill_stay(student):
    rows = [ROWS[0], replace(ROWS[1], prefill="well"), ROWS[2], row("what now", "")]
    assert refined(student, rows) == rows
    assert refined(student, []) == []


def test_a_row_that_the_student_cannot_read_loses(student):
    long = row("compute " + "5 " * 300, "answer 3")
    short = replace(long, completion="answer 5")
    assert mean_nll(student, [long, ROWS[1]], 2).isinf().tolist() == [True, False]
    assert refined(student, [long, short]) == [long]


def test_an_empty_batch_is_refused():
    with pytest.raises(UserError, match="batch >= 1"):
        StudentLikelihood(batch=0)
