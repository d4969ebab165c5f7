import math
from dataclasses import replace

import pytest
import torch
from defense_fakes import FakePreparation, fake_rows, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from marked_text import Trigrams, served, tokens

from defenses.antidistillation_fingerprint import AntidistillationFingerprint, learnable
from defenses.primitives.keyed import green, secrets
from spiritsafe.defense import Cost
from spiritsafe.errors import UserError


def fingerprint(proxy, strength=200.0, teacher=None, **options):
    defense = AntidistillationFingerprint(proxy=proxy, key="k", strength=strength, **options)
    defense.prepare(FakePreparation(teacher or tiny(seed=1)))
    return defense


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), scale=st.floats(0.1, 5))
def test_the_closed_form_is_the_gradient_of_the_green_mass(seed, scale):
    generator = torch.Generator().manual_seed(seed)
    logits = scale * torch.randn(3, 20, generator=generator, dtype=torch.float64)
    listed = torch.rand(3, 20, generator=generator) < 0.5
    step = 1e-5
    moved = step * torch.eye(20, dtype=torch.float64)[:, None]

    def mass(at):
        return (at.softmax(-1) * listed).sum(-1)

    differences = (mass(logits + moved) - mass(logits - moved)).T / (2 * step)
    torch.testing.assert_close(learnable(logits, listed).double(), differences, atol=1e-6, rtol=1e-4)


def test_what_is_sampled_is_the_formula(teacher, proxy):
    rows, defense = fake_rows(5), fingerprint(proxy, share=0.4)
    logits = rows.follow(teacher.model)
    listed = green(secrets("antidistillation_fingerprint", "k"), rows.context(2), 64, 0.4)
    q = rows.follow(proxy.model).softmax(-1)
    expected = logits + 200 * q * (listed.float() - (q * listed).sum(-1, keepdim=True))
    assert not torch.isin(logits.argmax(-1), defense.ends).any()
    sampled = defense.sample_logits(logits, rows)
    torch.testing.assert_close(sampled, expected, atol=1e-4, rtol=1e-4)
    assert sampled.softmax(-1).isfinite().all()


def test_learning_from_marked_tokens_makes_the_proxy_greener(teacher, proxy):
    """What the fingerprint is for: a step on the marked law raises the proxy's own green mass more than one on the
    plain law does."""
    rows, defense = fake_rows(5), fingerprint(proxy)
    plain, theirs = rows.follow(teacher.model), rows.follow(proxy.model)
    listed = green(secrets("antidistillation_fingerprint", "k"), rows.context(2), 64, 0.5)
    gains = []
    for logits in (plain, defense.sample_logits(plain, rows)):
        learnt = theirs + 0.01 * (logits.softmax(-1) - theirs.softmax(-1))  # a step of SGD on the logits themselves
        gains.append(((learnt.softmax(-1) - theirs.softmax(-1)) * listed).sum(-1))
    assert (gains[1] > gains[0]).all()


def test_a_step_about_to_end_and_a_row_without_a_window_are_unchanged(teacher, proxy):
    rows, defense, logits = fake_rows(3), fingerprint(proxy), torch.randn(3, 64)
    rows.contexts = [[1, 2, 3], [4], [1, 2, 3]]
    logits[0, 0] = 50.0
    marked = defense.sample_logits(logits, rows)
    assert torch.equal(marked[:2], logits[:2])
    assert not torch.equal(marked[2], logits[2])


def test_strength_zero_touches_nothing(teacher, proxy):
    rows, defense, logits = fake_rows(), fingerprint(proxy, 0), torch.randn(5, 64)
    assert defense.sample_logits(logits, rows) is logits
    assert rows.follows == 0
    assert (defense.cost(), fingerprint(proxy).cost()) == (Cost(), Cost(forwards=1))


@pytest.mark.parametrize("family", ["llama", "qwen2", "gpt_neox"])
def test_batches_do_not_matter(family):
    teacher, proxy = tiny(family, seed=1), tiny(family, seed=2)
    mark = fingerprint(proxy, teacher=teacher)
    alone = tokens(teacher, mark, batch_size=1)
    assert alone == tokens(teacher, mark, batch_size=4) == tokens(teacher, mark, batch_size=9)
    assert alone != tokens(teacher)
    assert tokens(teacher, fingerprint(proxy, 0, teacher)) == tokens(teacher)


def student(model, text):
    return replace(model, model=Trigrams(text, model.vocabulary))


def test_a_student_of_marked_text_is_found_and_others_are_not(teacher, proxy):
    mark = fingerprint(proxy)
    learnt = served(teacher, mark, count=250)
    prompts = served(teacher, count=80)  # what the suspect writes matters little: its probabilities are tested
    suspect = student(proxy, learnt)
    found = mark.audit(suspect, prompts, 20)
    assert found.p_value < 1e-6
    assert found.statistic > 0.55
    assert found.count > 500
    assert len(found.null) == 20
    assert min(found.null) > 1e-3
    for innocent in (student(proxy, served(teacher, count=250)), proxy, tiny("qwen2", seed=5)):
        assert mark.audit(innocent, prompts, 0).p_value > 1e-3


def test_a_suspect_with_other_tokens_is_tested_by_what_it_writes(teacher, proxy):
    mark, other = fingerprint(proxy), tiny(vocabulary=48)
    assert mark.audit(other, served(teacher, mark, count=300), 0).p_value < 1e-6
    assert mark.audit(other, served(teacher, count=300), 0).p_value > 1e-3


def test_the_open_audit_reads_the_first_context_of_each_bigram(proxy):
    """One completion at a time, one bigram at a time, one key at a time."""
    mark, text = fingerprint(proxy, share=0.3, batch=4), served(tiny(seed=1), count=11)
    text = [*text, replace(text[2]), replace(text[0], token_ids=(5,)), replace(text[0], token_ids=())]
    owners = secrets("antidistillation_fingerprint", "k", 3)
    seen, masses = set(), [0.0] * 4
    for example in text:
        prompt = proxy.prompt_ids(example.messages)
        ids = list(example.token_ids)
        if not ids:
            continue
        laws = proxy.model(input_ids=torch.tensor([prompt + ids])).logits[0].softmax(-1)
        for place in range(2, len(ids)):
            bigram = tuple(ids[place - 2 : place])
            if bigram in seen:
                continue
            seen.add(bigram)
            for index, owner in enumerate(owners):
                listed = green(owner, torch.tensor([bigram]), 64, 0.3)[0]
                masses[index] += float(laws[len(prompt) + place - 1][listed].sum())
    found = mark.audit(proxy, text, 3)
    assert found.count == len(seen)
    means = [mass / len(seen) for mass in masses]
    assert found.statistic == pytest.approx(means[0], abs=1e-5)
    bounds = [math.exp(-2 * len(seen) * max(0.0, mean - 0.3) ** 2) for mean in means]
    assert [found.p_value, *found.null] == pytest.approx(bounds, rel=1e-2)


def test_wrong_keys_are_below_a_level_no_more_often_than_it_says(teacher, proxy):
    null = torch.tensor(fingerprint(proxy).audit(proxy, served(teacher, count=30), 300).null)
    for level in (0.01, 0.05, 0.2, 0.5):
        assert (null <= level).double().mean() <= level + 3 * (level * (1 - level) / 300) ** 0.5
    assert (null < 1).any()


def test_nothing_said_proves_nothing(teacher, proxy):
    found = fingerprint(proxy).audit(proxy, [], 2)
    assert (found.p_value, found.count, found.null) == (1, 0, (1, 1))


def test_mismatched_proxy_is_refused(teacher):
    with pytest.raises(UserError, match="48 output tokens"):
        AntidistillationFingerprint(proxy=tiny(vocabulary=48), key="k").check(teacher)


@pytest.mark.parametrize("bad", [{"key": None}, {"share": 0.0}, {"batch": 0}, {"strength": -1.0}])
def test_bad_knobs_are_refused(proxy, bad):
    with pytest.raises(UserError, match=next(iter(bad))):
        AntidistillationFingerprint(**{"proxy": proxy, "key": "k", **bad})
