import math

import pytest
import torch
from defense_fakes import FakePreparation, fake_rows
from hypothesis import given
from hypothesis import strategies as st

from defenses.temperature import Temperature
from spiritsafe.errors import UserError


@given(temperature=st.floats(1, 10), seed=st.integers(0, 99))
def test_flattens_and_keeps_the_order(temperature, seed):
    logits = 3 * torch.randn(4, 20, generator=torch.Generator().manual_seed(seed))
    before, after = (
        logits.softmax(-1),
        Temperature(strength=temperature).sample_logits(logits, fake_rows(4)).softmax(-1),
    )
    torch.testing.assert_close(after.sum(-1), torch.ones(4))
    torch.testing.assert_close(after, before ** (1 / temperature) / (before ** (1 / temperature)).sum(-1, keepdim=True))
    assert torch.equal(after.argmax(-1), before.argmax(-1))
    assert (after.max(-1).values <= before.max(-1).values + 1e-6).all()


def test_one_touches_nothing():
    logits = torch.randn(4, 20)
    assert Temperature(strength=1).sample_logits(logits, fake_rows(4)) is logits


def test_below_one_is_refused():
    with pytest.raises(UserError, match=r"a strength of at least 1 .* got 0\.5"):
        Temperature(strength=0.5)


def test_is_calibrated_to_the_utility_loss(teacher):
    def accuracy(defenses):
        return 0.9 - 0.1 * sum(math.log(defense.strength) for defense in defenses)

    defense = Temperature(utility_loss=0.05, evaluations=10)
    defense.prepare(FakePreparation(teacher, accuracy=accuracy))
    assert defense.strength == pytest.approx(math.exp(0.5), rel=0.06)
    assert defense.summary()["utility"] == pytest.approx(0.85, abs=0.005)
    given_one = FakePreparation(teacher)
    Temperature(strength=1.5).prepare(given_one)
    assert given_one.utilities == 0
