import pytest
import torch
from defense_fakes import fake_rows, tiny
from disclosed import distance, drawn, is_normalised, served, table, tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from defenses.random_noise import RandomNoise
from spiritsafe.errors import UserError


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), epsilon=st.floats(1e-3, 1.99), vocabulary=st.integers(2, 40))
def test_one_token_gains_and_the_budget_holds(seed, epsilon, vocabulary):
    honest = drawn(seed, vocabulary=vocabulary)
    shown = RandomNoise(epsilon).disclose(honest, fake_rows(6, seed=seed))
    assert is_normalised(shown)
    assert (distance(shown, honest) <= epsilon + 1e-9).all()
    gift = shown.exp() - (1 - epsilon / 2) * honest.exp()
    lucky = gift.argmax(-1)
    expected = torch.zeros_like(gift).scatter(-1, lucky[:, None], epsilon / 2)
    torch.testing.assert_close(gift, expected, atol=1e-9, rtol=0)
    assert (lucky != honest.argmax(-1)).all()


def test_the_token_is_uniform_over_the_others():
    honest = torch.tensor([[0.1, 0.6, 0.1, 0.1, 0.1]]).log().expand(8000, -1)
    lucky = (RandomNoise(0.8).disclose(honest, fake_rows(8000)) - honest).argmax(-1)
    counts = torch.bincount(lucky, minlength=5)
    assert counts[1] == 0
    assert float(((counts[[0, 2, 3, 4]] - 2000.0) ** 2 / 2000).sum()) < 16.3  # 99.9 % of chi-square, 3 degrees


def test_the_position_counts():
    honest, first, later = drawn(0, vocabulary=300), fake_rows(6), fake_rows(6)
    later.generated = later.generated + 1
    assert not torch.equal(RandomNoise().disclose(honest, first), RandomNoise().disclose(honest, later))


def test_no_noise_is_the_same_tensor():
    honest = drawn(0)
    assert RandomNoise(0.0).disclose(honest, fake_rows(6)) is honest


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_text_is_untouched_and_batches_do_not_matter(family):
    teacher = tiny(family)
    plain, alone = served(teacher), served(teacher, RandomNoise(), batch_size=1)
    together = served(teacher, RandomNoise(), batch_size=9)
    assert tokens(plain) == tokens(alone) == tokens(together)
    torch.testing.assert_close(table(alone), table(together), atol=1e-5, rtol=0)
    assert distance(table(plain), table(alone)).min() > 0.3


@pytest.mark.parametrize("epsilon", [-0.1, 2.0])
def test_bad_knobs_are_refused(epsilon):
    with pytest.raises(UserError, match="epsilon"):
        RandomNoise(epsilon)
