import pytest
import torch
from defense_fakes import FakePreparation, tiny
from test_defended_sampling import serve, tokens

from defenses.noisy_teacher import NoisyTeacher


def weights(language_model):
    return {name: weight.clone() for name, weight in language_model.model.named_parameters()}


def made(teacher, strength, seed=0):
    defense = NoisyTeacher(strength=strength)
    defense.prepare(FakePreparation(teacher, seed))
    return defense


@pytest.mark.parametrize("family", ["llama", "llama_tied", "qwen2", "gpt_neox"])
def test_every_matrix_is_off_by_the_strength_and_nothing_else_is(family):
    teacher = tiny(family)
    before = weights(teacher)
    after = weights(made(teacher, 0.1).substitute(teacher))
    assert before.keys() == after.keys()
    for name, clean in before.items():
        if clean.dim() > 1:
            assert float((after[name] - clean).norm() / clean.norm()) == pytest.approx(0.1, rel=0.1)
        else:
            assert torch.equal(after[name], clean)
    assert all(torch.equal(clean, before[name]) for name, clean in weights(teacher).items())


def test_tied_weights_stay_tied():
    teacher = tiny("llama_tied")
    model = made(teacher, 0.1).substitute(teacher).model
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_another_strength_is_another_multiple_of_the_same_noise(teacher):
    defense = made(teacher, 0.5)
    first = weights(defense.substitute(teacher))
    defense.strength = 0.25
    again, fresh = weights(defense.substitute(teacher)), weights(made(teacher, 0.25).substitute(teacher))
    other = weights(made(teacher, 0.25, seed=1).substitute(teacher))
    for name, clean in weights(teacher).items():
        torch.testing.assert_close(again[name] - clean, (first[name] - clean) / 2)
        assert torch.equal(again[name], fresh[name])
        assert clean.dim() == 1 or not torch.equal(again[name], other[name])


def test_noise_goes_onto_whatever_model_would_have_served(teacher, proxy):
    defense = made(teacher, 0.1)
    onto_teacher, onto_other = weights(defense.substitute(teacher)), weights(defense.substitute(proxy))
    for (name, own), other in zip(weights(teacher).items(), weights(proxy).values(), strict=True):
        torch.testing.assert_close(onto_other[name] - other, onto_teacher[name] - own, atol=1e-6, rtol=0)


def test_its_identity_is_its_own(teacher):
    digests = [made(teacher, *knobs).substitute(teacher).digest for knobs in ((0.1, 0), (0.2, 0), (0.1, 1))]
    assert len({teacher.digest, *digests}) == 4


def test_zero_serves_the_teacher_itself(teacher):
    defense = made(teacher, 0)
    assert defense.substitute(teacher) is teacher
    assert defense.served is None
    assert serve(teacher, defense) == serve(teacher)


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_under_the_sampler(family):
    teacher = tiny(family, seed=1)
    defense = made(teacher, 0.3)
    replies = [tokens(serve(teacher, defense, batch_size=size)) for size in (1, 4, 9)]
    assert replies[0] == replies[1] == replies[2] == tokens(serve(defense.substitute(teacher)))
    assert replies[0] != tokens(serve(teacher))


def test_is_calibrated_on_the_weights_that_are_served(teacher):
    clean = teacher.model.lm_head.weight

    def accuracy(defenses):
        served = [defense.substitute(teacher).model.lm_head.weight for defense in defenses]
        return 0.9 - sum(float((weight - clean).norm() / clean.norm()) for weight in served)

    defense = NoisyTeacher(utility_loss=0.1, evaluations=12)
    defense.prepare(FakePreparation(teacher, accuracy=accuracy))
    assert defense.strength == pytest.approx(0.1, rel=0.1)
    assert defense.summary()["target_reached"]
