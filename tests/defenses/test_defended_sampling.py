"""The defenses under the real sampler: what must hold of the transcript."""

import pytest
import torch
from defense_fakes import FakePreparation, tiny

from defenses.antidistillation import Antidistillation
from defenses.permuted_noise import PermutedNoise
from defenses.temperature import Temperature
from defenses.topk_logprobs import TopkLogprobs
from spiritsafe.exchange import Message, Request, Sampling
from teacher.sampler import Sampler


def requests(count=9, temperature=1.0, top_logprobs=0):
    sampling = Sampling(temperature=temperature, max_tokens=12)
    return [
        Request(
            f"r{i}",
            (Message("user", " ".join(f"w{(7 * i + j) % 60}" for j in range(1 + i % 4))),),
            sampling,
            1,
            top_logprobs,
        )
        for i in range(count)
    ]


def serve(teacher, *defenses, batch_size=4, **asked):
    return Sampler(teacher, seed=3, batch_size=batch_size, defenses=defenses).respond(requests(**asked))


def tokens(replies):
    return [reply.token_ids for reply in replies]


@pytest.fixture(scope="module")
def tilts(teacher, proxy):
    """Strong enough to change most of what is sampled."""
    made = {
        "antidistillation": Antidistillation(proxy=proxy, strength=20.0, traces=8),
        "jvp": Antidistillation(proxy=proxy, strength=20.0, traces=8, method="jvp"),
        "permuted_noise": PermutedNoise(proxy=proxy, strength=20.0, traces=8),
        "temperature": Temperature(strength=2.0),
    }
    for defense in made.values():
        defense.prepare(FakePreparation(teacher))
    return made


def test_no_strength_is_bit_identical(teacher, proxy):
    plain = serve(teacher, top_logprobs=0)
    for defense in (
        Antidistillation(proxy=proxy, strength=0),
        PermutedNoise(proxy=proxy, strength=0),
        Temperature(strength=1),
    ):
        defense.prepare(FakePreparation(teacher))
        assert serve(teacher, defense) == plain


@pytest.mark.parametrize("name", ["antidistillation", "jvp", "permuted_noise", "temperature"])
def test_batches_do_not_matter(teacher, tilts, name):
    alone = tokens(serve(teacher, tilts[name], batch_size=1))
    assert (
        alone == tokens(serve(teacher, tilts[name], batch_size=4)) == tokens(serve(teacher, tilts[name], batch_size=9))
    )
    assert alone != tokens(serve(teacher))


def test_two_runs_in_a_row_are_the_same(teacher, tilts):
    assert serve(teacher, tilts["antidistillation"]) == serve(teacher, tilts["antidistillation"])


def test_both_methods_sample_the_same_text(teacher, tilts):
    pairs = zip(*(tokens(serve(teacher, tilts[name])) for name in ("antidistillation", "jvp")), strict=True)
    assert sum(first == second for first, second in pairs) >= 8  # of 9; a draw may fall between the two


def test_noise_is_not_the_direction(teacher, tilts):
    assert tokens(serve(teacher, tilts["antidistillation"])) != tokens(serve(teacher, tilts["permuted_noise"]))


@pytest.mark.parametrize("name", ["antidistillation", "permuted_noise", "temperature"])
def test_greedy_is_unchanged(teacher, tilts, name):
    assert serve(teacher, tilts[name], temperature=0.0) == serve(teacher, temperature=0.0)


def test_what_is_shown_leaves_what_is_sampled(teacher):
    plain, shown = serve(teacher, top_logprobs=5), serve(teacher, TopkLogprobs(2, decimals=1), top_logprobs=5)
    assert tokens(shown) == tokens(plain)
    for before, after in zip(plain, shown, strict=True):
        for full, cut in zip(before.logprobs.values, after.logprobs.values, strict=True):
            finite = [value for value in cut if value != float("-inf")]
            assert finite == pytest.approx([round(value, 1) for value in full[:2]], abs=0.06)


def test_a_stack_applies_in_order(teacher, tilts):
    """Flattening after the tilt weakens it, flattening before it does not: the two orders sample different text."""
    tilt, flatten = tilts["antidistillation"], tilts["temperature"]
    assert tokens(serve(teacher, tilt, flatten)) != tokens(serve(teacher, flatten, tilt))


def test_text_has_the_law_of_equation_11():
    """First tokens of 4000 rows of one prompt against the exact probabilities, by chi-square; the law of the released
    code, softmax((z + λΔ) / τ), is rejected by the same draws."""
    teacher, proxy, temperature, strength = tiny(seed=1, vocabulary=16), tiny(seed=2, vocabulary=16), 0.5, 0.5
    defense = Antidistillation(proxy=proxy, strength=strength, traces=8)
    defense.prepare(FakePreparation(teacher))
    messages = (Message("user", "w3 w5"),)
    replies = Sampler(teacher, seed=5, batch_size=1000, defenses=[defense]).respond(
        [Request(f"s{index}", messages, Sampling(temperature, max_tokens=1)) for index in range(4000)]
    )
    counts = torch.bincount(torch.tensor([reply.token_ids[0] for reply in replies]), minlength=16)

    prompt = torch.tensor([teacher.prompt_ids(messages)])
    plus, minus = defense.score.paired(input_ids=prompt.repeat(2, 1)).logits[:, -1].log_softmax(-1)
    delta = (plus - minus) / (2 * defense.score.step)
    logits = teacher.model(input_ids=prompt).logits[0, -1]
    paper = chi_square(counts, (logits / temperature + strength * delta).softmax(-1))
    released = chi_square(counts, ((logits + strength * delta) / temperature).softmax(-1))
    assert paper < 37.7  # the 99.9 % quantile at 15 degrees of freedom, the most there can be
    assert released > 100


def chi_square(counts, law):
    """Outcomes expected fewer than 5 times are taken together."""
    expected = law * counts.sum()
    rare = expected < 5
    expected, found = (torch.cat([each[~rare], each[rare].sum()[None]]) for each in (expected, counts))
    return float(((found - expected) ** 2 / expected.clamp(min=1.0)).sum())
