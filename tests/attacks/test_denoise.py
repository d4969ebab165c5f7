from dataclasses import replace
from functools import partial

import pytest
import torch
from test_recover_probabilities import BENT, peaked
from workshops import workshop

from attacks.denoise import Denoise, recover
from attacks.plain import Plain
from attacks.simplex import reverse_sigmoid, rounding
from defenses.reverse_sigmoid import ReverseSigmoid
from spiritsafe.attack import Example, Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Message, Sampling
from spiritsafe.interface import Interface
from spiritsafe.models import load
from teacher.sampler import Sampler


@pytest.mark.parametrize(("forward", "left"), [(BENT, 0.4), (partial(rounding, decimals=1), 0.97)])
def test_held_out_pairs_come_nearer_to_the_truth(forward, left):
    mix = peaked(4000, 6)[torch.randperm(4000, generator=torch.Generator().manual_seed(0))]
    learnt, held = mix[:3500], mix[3500:]
    shown = forward(held)
    found = recover(Denoise(forward, steps=300).learn(learnt, seed=0), shown)
    before, after = ((each - held).abs().sum(1).mean() for each in (shown, found))
    assert after < left * before
    assert torch.allclose(found.sum(1), torch.ones(len(found)), atol=1e-5)


def test_one_seed_gives_one_network_and_leaves_the_random_state_alone():
    shown, part = BENT(peaked(50, 4)), Denoise(BENT, steps=20)
    state = torch.random.get_rng_state()
    first, again, other = (recover(part.learn(peaked(50, 4), seed), shown) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.fixture(scope="module")
def home(tiny_world) -> Workshop:
    return workshop(load(str(tiny_world.student), device="cpu"))


@pytest.fixture(scope="module")
def harvests(tiny_world, home) -> tuple[list[Example], list[Example]]:
    """What an untrained teacher shows, as it is and bent."""
    model = load(str(tiny_world.teacher), device="cpu")
    interface = Interface(Sampling(max_tokens=12), top_logprobs=4)
    asked = [Plain().wrap(f"r{n}", [Message("user", f"compute {n} plus {n}")], interface) for n in range(6)]
    rows = []
    for defenses in ([], [ReverseSigmoid(beta=0.01, gamma=0.2)]):
        replies = Sampler(model, seed=0, batch_size=4, defenses=defenses).respond(asked)
        rows.append(home.examples([Exchange(*pair, "a", 0.0) for pair in zip(asked, replies, strict=True)]))
    return rows[0], rows[1]


def mass(rows: list[Example]) -> torch.Tensor:
    return torch.tensor([values for row in rows for values in row.top_logprobs]).exp().sum(1)


def test_a_harvest_is_denoised_by_what_the_student_knows(harvests, home):
    plain, bent = harvests
    part = Denoise(partial(reverse_sigmoid, beta=0.01, vocabulary=312), steps=200)
    part.equip(home)
    found = part.refine(bent)
    assert [row.token_ids for row in found] == [row.token_ids for row in bent]
    assert all(len(row.top_ids) == len(row.top_logprobs) == len(row.token_ids) for row in found)
    truth = mass(plain)
    assert (mass(found) - truth).abs().mean() < 0.5 * (mass(bent) - truth).abs().mean()


def test_nothing_disclosed_is_nothing_to_denoise(harvests, home):
    part = Denoise(BENT, steps=1)
    part.equip(home)
    text = [replace(row, top_ids=(), top_logprobs=()) for row in harvests[0]]
    assert part.refine(text) == text
    assert part.refine([]) == []


@pytest.mark.parametrize("options", [{"steps": 0}, {"pairs": 0}, {"rate": 0.0}, {"batch": 0}])
def test_what_cannot_be_is_refused(options):
    with pytest.raises(UserError, match="at least 1"):
        Denoise(BENT, **options)
    with pytest.raises(UserError, match="set forward"):
        Denoise(None)
