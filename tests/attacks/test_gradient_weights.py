import copy
from dataclasses import replace
from random import Random

import pytest
import torch
from workshops import workshop

from attacks.gradient_weights import GradientWeights
from spiritsafe.attack import Example, demonstrations
from spiritsafe.errors import UserError
from spiritsafe.exchange import END_THINK, THINK, Message
from spiritsafe.measures.nll import nll
from spiritsafe.models import load
from spiritsafe.task import Item, Kind, Split
from spiritsafe.tasks.recipes import Recipes

LENGTH = 12


class Counting:
    """Count once round the clock. All completions have the same words: only their order is to be learnt."""

    name, kind, force = "counting", Kind.CAPABILITY, ""

    def items(self, split: Split, count: int, seed: int = 0) -> list[Item]:
        return [self.item(place % LENGTH) for place in range(count)]

    def item(self, start: int) -> Item:
        run = " ".join(str((start + step) % LENGTH) for step in range(LENGTH))
        turn = Message("assistant", f"{THINK} {run} {END_THINK} answer {start}")
        return Item(f"{start}", (Message("user", f"compute {start}"),), str(start), (turn,))


def shuffled(row: Example, seed: int) -> Example:
    """The same words in the marks, in no order."""
    trace, answer = row.completion.removeprefix(THINK).split(END_THINK)
    words = trace.split()
    Random(seed).shuffle(words)
    return replace(row, completion=f"{THINK} {' '.join(words)} {END_THINK}{answer}")


@pytest.fixture(scope="module")
def student(tiny_world):
    return load(str(tiny_world.student), device="cpu")


@pytest.fixture(scope="module")
def mix() -> list[Example]:
    """Clean rows in even places, shuffled ones in odd places."""
    clean = [row for item in Counting().items(Split.POOL, 2 * LENGTH) for row in demonstrations(item)]
    return [each if place % 2 == 0 else shuffled(each, place) for place, each in enumerate(clean)]


def weights(student, rows, **options) -> torch.Tensor:
    part = GradientWeights(**{"count": 12, **options})
    part.equip(workshop(student, [Counting(), Recipes()]))
    return torch.tensor([row.weight for row in part.refine(rows)])


def test_clean_rows_outrank_shuffled_ones_and_the_other_sign_turns_it_round(student, mix):
    found = weights(student, mix, tasks=("counting",))
    pairs = (found[::2, None] > found[None, 1::2]).float().mean()
    assert pairs > 0.9
    assert found[::2].mean() > 1 > found[1::2].mean()
    other = weights(student, mix, beta=-0.5, tasks=("counting",))
    assert other[::2].mean() < 1 < other[1::2].mean()
    assert torch.equal(other.argsort(), found.argsort(descending=True))


def test_agreement_is_the_inner_product_of_gradients(student, mix):
    apart = [row for item in Recipes().items(Split.PUBLIC, 6) for row in demonstrations(item)]

    def gradient(rows: list[Example]) -> torch.Tensor:
        model = copy.deepcopy(student.model).requires_grad_(True)
        losses = []
        for row in rows:
            prompt, completion = student.prompt_ids(row.messages), student.completion_ids(row.completion)
            logits = model(torch.tensor([prompt + completion])).logits[0, len(prompt) - 1 : -1]
            losses.append(-logits.log_softmax(-1).gather(1, torch.tensor(completion)[:, None])[:, 0])
        parameters = list(model.parameters())
        return torch.cat([part.flatten() for part in torch.autograd.grad(torch.cat(losses).mean(), parameters)])

    exact = torch.stack([gradient([row]) for row in mix[:4]]) @ gradient(apart)
    before = nll(student, mix[:4])
    measured = GradientWeights(epsilon=1e-3, batch=4).agreement(student, mix[:4], apart)
    assert torch.allclose(measured.float(), exact, rtol=0.02, atol=0.02)
    assert nll(student, mix[:4]) == before  # the student itself has not moved


def test_weights_are_of_mean_one_multiply_and_do_not_depend_on_the_batch(student, mix):
    found = weights(student, mix)
    assert float(found.mean()) == pytest.approx(1, abs=1e-5)
    assert torch.allclose(weights(student, mix, batch=5), found, rtol=1e-2)
    doubled = weights(student, [replace(row, weight=2.0) for row in mix])
    assert torch.allclose(doubled, 2 * found)
    assert torch.equal(weights(student, mix, beta=0.0), torch.ones(len(mix)))


def test_a_part_of_the_harvest_is_held_out_by_its_content(student, mix):
    part = GradientWeights(holdout="harvest", share=0.3)
    part.equip(workshop(student))
    kept = [row.completion for row in part.refine(mix)]
    assert 0 < len(kept) < len(mix)
    assert kept == [row.completion for row in mix if row.completion in kept]
    fewer = [row.completion for row in part.refine(mix[:12])]
    assert fewer == kept[: len(fewer)]
    assert len(fewer) >= 6
    assert part.refine([]) == []
    assert part.refine(mix[:1]) == mix[:1]  # nothing to compare with


def test_what_cannot_be_is_refused(student, mix):
    for options in ({"epsilon": 0.0}, {"holdout": "test"}, {"share": 1.0}, {"count": 0}, {"batch": 0}):
        with pytest.raises(UserError, match="gradient_weights needs"):
            GradientWeights(**options)
    with pytest.raises(UserError, match="choose its tasks among counting, recipes"):
        weights(student, mix, tasks=("nonsense",))
    part = GradientWeights()
    part.equip(workshop(student))
    with pytest.raises(UserError, match="holdout=harvest"):
        part.refine(mix)
