import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from test_defended_sampling import serve, tokens

from defenses.weaker_teacher import WeakerTeacher
from spiritsafe.randomness import uniforms


@pytest.fixture(scope="module")
def many():
    return fake_rows(20_000)


@pytest.mark.parametrize("share", [0.01, 0.3, 0.9, 1.0])
def test_the_share_is_routed(proxy, many, share):
    routed = WeakerTeacher(proxy=proxy, strength=share).routed(many).double().mean()
    assert abs(routed - share) <= 4 * (share * (1 - share) / 20_000) ** 0.5


def test_a_larger_share_routes_the_same_rows_and_more(proxy, many):
    few, most = (WeakerTeacher(proxy=proxy, strength=share).routed(many) for share in (0.2, 0.6))
    assert (most | ~few).all()


def test_the_routing_says_nothing_about_the_draws(proxy, many):
    """Ten bins of the first and second draws of routed rows; 27.9 is the 99.9 % quantile at 9 degrees."""
    routed = WeakerTeacher(proxy=proxy, strength=0.5).routed(many)
    for step in (0, 1):
        draws = uniforms(many.streams, torch.full_like(many.streams, step))[routed]
        counts, expected = torch.histc(draws, 10, 0, 1), len(draws) / 10
        assert ((counts - expected) ** 2 / expected).sum() < 27.9


def test_every_row_is_one_models_own(teacher, proxy):
    batch, defense = fake_rows(40), WeakerTeacher(proxy=proxy, strength=0.4)
    strong, weak = batch.follow(teacher.model), batch.follow(proxy.model)
    routed = defense.routed(batch)
    served = defense.sample_logits(strong, batch)
    assert 0 < routed.sum() < 40
    assert torch.equal(served[routed], weak[routed])
    assert torch.equal(served[~routed], strong[~routed])


def test_zero_touches_nothing(teacher, proxy):
    batch, logits, preparation = fake_rows(), torch.randn(5, 64), FakePreparation(teacher)
    defense = WeakerTeacher(proxy=proxy, strength=0)
    defense.prepare(preparation)
    assert defense.sample_logits(logits, batch) is logits
    assert batch.follows == preparation.utilities == defense.cost().forwards == 0


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_reply_is_one_models_from_start_to_end(family, temperature):
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    strong, weak = (tokens(serve(model, temperature=temperature)) for model in (teacher, proxy))
    defense = WeakerTeacher(proxy=proxy, strength=0.5)
    replies = [tokens(serve(teacher, defense, batch_size=size, temperature=temperature)) for size in (1, 4, 9)]
    assert replies[0] == replies[1] == replies[2]
    assert all(reply in pair for reply, *pair in zip(replies[0], strong, weak, strict=True))
    assert replies[0] not in (strong, weak)
    assert tokens(serve(teacher, WeakerTeacher(proxy=proxy, strength=1), temperature=temperature)) == weak


def test_is_calibrated_to_the_utility_loss(teacher, proxy):
    preparation = FakePreparation(
        teacher, accuracy=lambda defenses: 0.9 - 0.5 * sum(each.strength for each in defenses)
    )
    defense = WeakerTeacher(proxy=proxy, utility_loss=0.1, evaluations=12)
    defense.prepare(preparation)
    assert defense.strength == pytest.approx(0.2, rel=0.06)
