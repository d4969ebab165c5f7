import dataclasses

import pytest
import torch
from defense_fakes import FakePreparation, fake_rows

from defenses.antidistillation import Antidistillation
from defenses.permuted_noise import PermutedNoise
from spiritsafe.randomness import mix


@pytest.fixture(scope="module")
def pair(teacher, proxy):
    made = [kind(proxy=proxy, strength=2.0, traces=8) for kind in (Antidistillation, PermutedNoise)]
    for defense in made:
        defense.prepare(FakePreparation(teacher))
    return made


def test_same_magnitudes_another_direction(pair):
    batch = fake_rows(6)
    delta, noise = (defense.delta(batch) for defense in pair)
    assert torch.equal(delta.abs().sort(-1).values, noise.abs().sort(-1).values)
    assert (torch.cosine_similarity(delta, noise, dim=-1).abs() < 0.6).all()
    flipped = (noise[:, None].eq(-delta[..., None]).any(1) & noise.ne(0)).float().mean()
    assert 0.3 < flipped < 0.7


def test_depends_on_the_stream_and_the_position_only(pair):
    noise, batch = pair[1], fake_rows(6)
    part = dataclasses.replace(
        batch,
        contexts=batch.contexts[2:4],
        **{name: getattr(batch, name)[2:4] for name in ("temperature", "streams", "generated", "risk")},
    )
    whole = noise.delta(batch)
    torch.testing.assert_close(noise.delta(part), whole[2:4])
    for change in ("streams", "generated"):
        other = noise.delta(dataclasses.replace(batch, **{change: getattr(batch, change) + 1}))
        assert (torch.cosine_similarity(other, whole, dim=-1).abs() < 0.6).all()


def test_every_place_is_equally_likely():
    """Chi-square of where the first of 8 entries lands, over 8000 streams; 24.3 is the 99.9 % quantile at 7 degrees."""
    bits = mix(mix(torch.arange(8000))[:, None] + torch.arange(8))
    landed = torch.bincount((bits.argsort(-1) == 0).int().argmax(-1), minlength=8)
    assert ((landed - 1000) ** 2 / 1000).sum() < 24.3


def test_mix_is_splitmix64():
    """First outputs of the reference implementation for seed 0: the finaliser at multiples of the golden gamma."""
    gamma = 0x9E3779B97F4A7C15
    states = torch.tensor([((k * gamma + 2**63) % 2**64) - 2**63 for k in (1, 2, 3)])
    found = [int(value) % 2**64 for value in mix(states)]
    assert found == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
