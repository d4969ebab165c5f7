import math

import pytest
import torch
from defense_fakes import fake_rows, tiny
from disclosed import distance, drawn, is_normalised, served, table, tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from defenses.gaussian_noise import GaussianNoise, normals, project
from defenses.primitives.noise import noise_bits
from spiritsafe.errors import UserError

NORMS = [1.0, 2.0, math.inf]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(1e-3, 20.0), p=st.sampled_from(NORMS))
def test_the_logits_move_within_the_ball(seed, epsilon, p):
    """Each σ(z + δ) is y' times the row's normaliser, so δ can be read off what is shown."""
    honest, batch = drawn(seed), fake_rows(6, seed=seed)
    shown = GaussianNoise(epsilon, p).disclose(honest, batch)
    assert is_normalised(shown)
    noise = project(normals(noise_bits(batch, 8)), epsilon, p).double()
    assert (noise.norm(p, dim=-1) <= epsilon * (1 + 1e-5)).all()
    moved = (honest.exp() / (1 - honest.exp())).log() + noise
    expected = 1 / (1 + (-moved).exp())
    torch.testing.assert_close(shown.exp(), expected / expected.sum(-1, keepdim=True), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_projection_is_the_nearest_point(p):
    noise = torch.tensor([[1.5, -0.4, 0.9, -2.0]], dtype=torch.float64)
    found = project(noise, 1.2, p)[0]
    target = noise[0].numpy()
    solved = minimize(
        lambda point: ((point - target) ** 2).sum(),
        found.numpy() * 0.5,
        constraints={"type": "ineq", "fun": lambda point: 1.2 - (abs(point) ** p).sum() ** (1 / p)},
    )
    assert float((found - noise[0]).square().sum()) == pytest.approx(solved.fun, abs=1e-4)
    assert float(found.norm(p)) == pytest.approx(1.2)


@pytest.mark.parametrize("p", NORMS)
def test_noise_inside_the_ball_is_left_alone(p):
    noise = normals(noise_bits(fake_rows(4), 50))
    torch.testing.assert_close(project(noise, 1e4, p), noise)


def test_draws_are_standard_normal():
    draws = normals(noise_bits(fake_rows(40), 5000)).flatten().sort().values
    assert draws.isfinite().all()
    levels = (torch.arange(len(draws)) + 0.5) / len(draws)
    gap = (torch.special.ndtr(draws) - levels).abs().max()
    assert float(gap) < 1.95 / math.sqrt(len(draws))  # Kolmogorov and Smirnov at 0.1 %


def test_certain_rows_stay_finite():
    honest = torch.tensor([[40.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).log_softmax(-1)
    assert is_normalised(GaussianNoise(5.0).disclose(honest, fake_rows(2)))


def test_no_noise_is_the_same_tensor():
    honest = drawn(0)
    assert GaussianNoise(0.0).disclose(honest, fake_rows(6)) is honest


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_text_is_untouched_and_batches_do_not_matter(family):
    teacher = tiny(family)
    plain, alone = served(teacher), served(teacher, GaussianNoise(4.0), batch_size=1)
    together = served(teacher, GaussianNoise(4.0), batch_size=9)
    assert tokens(plain) == tokens(alone) == tokens(together)
    torch.testing.assert_close(table(alone), table(together), atol=1e-5, rtol=0)
    assert distance(table(plain), table(alone)).min() > 0.01


@pytest.mark.parametrize("bad", [{"epsilon": -1.0}, {"p": 3}])
def test_bad_knobs_are_refused(bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        GaussianNoise(**bad)
