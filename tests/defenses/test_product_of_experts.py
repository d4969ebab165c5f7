import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from test_defended_sampling import chi_square, serve, tokens

from defenses.product_of_experts import ProductOfExperts
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from teacher.sampler import Sampler


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.01, 1.0), seed=st.integers(0, 99))
def test_is_the_normalised_geometric_mean(teacher, proxy, share, seed):
    batch = fake_rows(4, seed=seed)
    logits = batch.follow(teacher.model)
    served = ProductOfExperts(proxy=proxy, strength=share).sample_logits(logits, batch).softmax(-1)
    strong, weak = (each.double().softmax(-1) for each in (logits, batch.follow(proxy.model)))
    product = strong ** (1 - share) * weak**share
    torch.testing.assert_close(served.double(), product / product.sum(-1, keepdim=True), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(served.sum(-1), torch.ones(4))


def test_zero_touches_nothing_and_one_is_the_proxy(teacher, proxy):
    batch, preparation = fake_rows(), FakePreparation(teacher)
    logits = batch.follow(teacher.model)
    batch.follows = 0
    idle, full = ProductOfExperts(proxy=proxy, strength=0), ProductOfExperts(proxy=proxy, strength=1)
    for defense in (idle, full):
        defense.prepare(preparation)
    assert idle.sample_logits(logits, batch) is logits
    assert batch.follows == preparation.utilities == idle.cost().forwards == 0
    assert torch.equal(full.sample_logits(logits, batch), batch.follow(proxy.model))
    assert full.cost().forwards == 1


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_under_the_sampler(family):
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    idle, half, full = (ProductOfExperts(proxy=proxy, strength=share) for share in (0, 0.5, 1))
    plain = serve(teacher)
    assert serve(teacher, idle) == plain
    assert tokens(serve(teacher, full)) == tokens(serve(proxy))
    mixed = [tokens(serve(teacher, half, batch_size=size)) for size in (1, 4, 9)]
    assert mixed[0] == mixed[1] == mixed[2]
    assert mixed[0] not in (tokens(plain), tokens(serve(proxy)))


def test_logits_are_mixed_before_the_temperature():
    """First tokens of 4000 rows against softmax(((1 − γ) z_T + γ z_P) / τ); a proxy that is added after the temperature
    is rejected by the same draws."""
    teacher, proxy, temperature, share = tiny(seed=1, vocabulary=16), tiny(seed=2, vocabulary=16), 0.5, 0.4
    messages = (Message("user", "w3 w5"),)
    defense = ProductOfExperts(proxy=proxy, strength=share)
    replies = Sampler(teacher, seed=5, batch_size=1000, defenses=[defense]).respond(
        [Request(f"s{index}", messages, Sampling(temperature, max_tokens=1)) for index in range(4000)]
    )
    counts = torch.bincount(torch.tensor([reply.token_ids[0] for reply in replies]), minlength=16)
    prompt = torch.tensor([teacher.prompt_ids(messages)])
    strong, weak = (each.model(input_ids=prompt).logits[0, -1] for each in (teacher, proxy))
    assert chi_square(counts, (((1 - share) * strong + share * weak) / temperature).softmax(-1)) < 37.7  # 99.9 %, df 15
    assert chi_square(counts, ((1 - share) * strong / temperature + share * weak).softmax(-1)) > 100


def test_is_calibrated_to_the_utility_loss(teacher, proxy):
    preparation = FakePreparation(
        teacher, accuracy=lambda defenses: 0.9 - 0.2 * sum(each.strength for each in defenses)
    )
    defense = ProductOfExperts(proxy=proxy, utility_loss=0.1, evaluations=12)
    defense.prepare(preparation)
    assert defense.strength == pytest.approx(0.5, rel=0.06)


@pytest.mark.parametrize("share", [-0.1, 1.1])
def test_a_share_is_between_zero_and_one(proxy, share):
    with pytest.raises(UserError, match="ProductOfExperts needs a strength of at least 0 and at most 1"):
        ProductOfExperts(proxy=proxy, strength=share)


@pytest.mark.parametrize("size", [48, 72])
def test_no_vocabulary_is_cut_or_padded(teacher, size):
    with pytest.raises(UserError, match=f"has {size} output tokens and the teacher .* has 64"):
        ProductOfExperts(proxy=tiny(vocabulary=size), strength=0.5).prepare(FakePreparation(teacher))
