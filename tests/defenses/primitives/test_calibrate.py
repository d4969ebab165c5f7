from dataclasses import dataclass

import pytest
from defense_fakes import FakePreparation
from hypothesis import assume, given
from hypothesis import strategies as st

from defenses.primitives.calibrate import to_utility_loss
from spiritsafe.defense import Defense
from spiritsafe.errors import UserError


@dataclass
class Knob(Defense):
    strength: float = 0.0


def calibrate(teacher, loss, target=0.1, evaluations=12, **options):
    """``loss`` gives the accuracy lost at a strength, of 0.9."""
    defense = Knob()
    preparation = FakePreparation(
        teacher, accuracy=lambda defenses: 0.9 - sum(loss(defense.strength) for defense in defenses)
    )
    calibration = to_utility_loss(defense, "strength", preparation, target, 1e-2, 1e3, evaluations, **options)
    return defense.strength, calibration, preparation


@given(scale=st.floats(0.05, 200), power=st.floats(0.5, 3), target=st.floats(0.02, 0.5))
def test_reaches_the_target_of_a_monotone_loss(teacher, scale, power, target):
    def loss(strength):
        return 0.9 * min(1, (strength / scale) ** power)

    wanted = scale * (target / 0.9) ** (1 / power)
    assume(2e-2 < wanted < 5e2)
    strength, calibration, _ = calibrate(teacher, loss, target, evaluations=24)
    assert abs(loss(strength) - target) <= 0.005
    assert calibration.reached
    assert calibration.utility == pytest.approx(0.9 - loss(strength))


def test_a_loss_that_jumps_back_keeps_the_best_that_was_tried(teacher):
    # The first guess, 3.16, is closest; what a bisection visits after it costs far more or nothing.
    def loss(strength):
        return 0.112 if 3 < strength < 4 else 0.6 if strength > 0.3 else 0.0

    strength, calibration, _ = calibrate(teacher, loss)
    assert strength == pytest.approx(10**0.5)
    assert calibration.utility == pytest.approx(0.788)


def test_evaluations_are_bounded_and_stop_early(teacher):
    _, calibration, preparation = calibrate(teacher, lambda strength: strength / 1000, evaluations=3)
    assert len(calibration.tried) == 3
    assert preparation.utilities == 4
    _, calibration, preparation = calibrate(teacher, lambda strength: 0.1)
    assert preparation.utilities == 2
    assert calibration.reached


def test_a_target_out_of_reach_is_said(teacher, caplog):
    strength, calibration, _ = calibrate(teacher, lambda strength: 0.0)
    assert not calibration.reached
    assert strength == pytest.approx(10**0.5)  # all equally far: the weakest that was tried
    assert "closest to a utility loss of 0.100 is 0.000" in caplog.text


@pytest.mark.parametrize("target", [0.0, 0.9, 0.95])
def test_an_impossible_target_names_the_remedy(teacher, target):
    with pytest.raises(UserError, match=r"undefended teacher's accuracy .* 0.900; set utility_loss between 0 and that"):
        calibrate(teacher, lambda strength: strength, target)


def test_a_bad_range_is_refused(teacher):
    with pytest.raises(UserError, match="0 < low < high"):
        to_utility_loss(Knob(), "strength", FakePreparation(teacher), 0.1, 0.0, 1.0, 3)
