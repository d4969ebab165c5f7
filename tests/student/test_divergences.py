"""The objectives on what was disclosed beside the full divergence in double precision."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import cross_entropy

from spiritsafe.errors import UserError
from spiritsafe.interface import Interface
from spiritsafe.objective import Targets, check_signals
from student.full_kl import FullKL
from student.jsd import GeneralizedJSD
from student.sampled_kl import SampledKL
from student.skew_kl import SkewKL
from student.topk_kl import TopKKL
from student.uld import ULD

OBJECTIVES = [
    SampledKL(),
    SampledKL(draws=3, power=0.5),
    FullKL(),
    FullKL(1.0, 0.0),
    SkewKL(),
    SkewKL("reverse"),
    GeneralizedJSD(),
    GeneralizedJSD(0.0),
    GeneralizedJSD(1.0),
    ULD(),
]
LOWER_BOUNDS = [SkewKL(), SkewKL("reverse", 0.3), GeneralizedJSD(), GeneralizedJSD(0.0), GeneralizedJSD(1.0)]


def case(n: int, vocabulary: int, k: int, seed: int, sharpness: float = 2.0) -> tuple[Tensor, Tensor, Targets]:
    """Student logits, the teacher's log probabilities, and the k that are disclosed of them."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(n, vocabulary, generator=generator)
    teacher = (sharpness * torch.randn(n, vocabulary, generator=generator)).log_softmax(1)
    values, ids = teacher.topk(k, 1)
    tokens = torch.randint(vocabulary, (n,), generator=generator)
    return logits, teacher, Targets(tokens, torch.rand(n, generator=generator), ids, values)


def each(objective: Any, logits: Tensor, targets: Targets) -> Tensor:
    """The loss of every token, [n]."""
    parts = [part for part in (targets.tokens, targets.top_ids, targets.top_logprobs) if part is not None]
    one = torch.ones(1)
    rows = [[part[i : i + 1] for part in parts] for i in range(len(logits))]
    return torch.stack([objective.loss(logits[i : i + 1], Targets(t, one, *top)) for i, (t, *top) in enumerate(rows)])


def kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum(1)


def reference(objective: Any, logits: Tensor, teacher: Tensor, tokens: Tensor) -> Tensor:
    """The textbook formulas on whole distributions."""
    z_q, z_p = logits.double(), teacher.double()
    p, q = z_p.softmax(1), z_q.softmax(1)
    if isinstance(objective, SkewKL):
        a = objective.skew
        return kl(p, a * p + (1 - a) * q) if objective.direction == "forward" else kl(q, (1 - a) * p + a * q)
    if isinstance(objective, GeneralizedJSD):
        b = objective.beta
        m = b * p + (1 - b) * q
        return kl(p, q) if b == 0 else kl(q, p) if b == 1 else b * kl(p, m) + (1 - b) * kl(q, m)
    if isinstance(objective, FullKL):
        t, a = objective.temperature, objective.alpha
        return a * cross_entropy(z_q, tokens, reduction="none") + (1 - a) * t * t * kl(
            (z_p / t).softmax(1), (z_q / t).softmax(1)
        )
    assert isinstance(objective, ULD)
    distance = (p.sort(1).values - q.sort(1).values).abs().sum(1)
    return cross_entropy(z_q, tokens, reduction="none") + objective.weight * distance


@pytest.mark.parametrize(
    "objective", [*LOWER_BOUNDS, GeneralizedJSD(0.2), FullKL(), FullKL(0.7, 0.0), FullKL(1.0, 0.1), ULD(0.4)]
)
def test_with_all_of_the_vocabulary_it_is_the_textbook_formula(objective: Any) -> None:
    logits, teacher, targets = case(12, 24, 24, 0)
    expected = reference(objective, logits, teacher, targets.tokens)
    assert torch.allclose(each(objective, logits, targets).double(), expected, atol=1e-5)
    assert float(objective.loss(logits, targets)) == pytest.approx(float(expected @ targets.weights.double()), abs=1e-4)


@pytest.mark.parametrize("objective", LOWER_BOUNDS)
@settings(max_examples=15, deadline=None)
@given(k=st.integers(1, 9), seed=st.integers(0, 1000))
def test_what_was_not_disclosed_never_raises_the_divergence(objective: Any, k: int, seed: int) -> None:
    logits, teacher, targets = case(4, 10, k, seed, sharpness=1.0)
    fewer, more = (each(objective, logits, case(4, 10, size, seed, sharpness=1.0)[2]) for size in (k, k + 1))
    full = reference(objective, logits, teacher, targets.tokens)
    assert bool((fewer >= -1e-5).all())
    assert bool((fewer <= more + 1e-5).all())
    assert bool((more <= full + 1e-5).all())


@pytest.mark.parametrize("objective", [SkewKL(), SkewKL("reverse"), SkewKL("reverse", 0.4)])
def test_skew_kl_is_bounded_where_both_have_zeros(objective: SkewKL) -> None:
    zero = -torch.inf
    values = torch.tensor([[0.0, zero, zero], [-0.5, -0.9326, zero], [0.0, zero, zero]])
    ids = torch.tensor([[2, 0, 0], [0, 1, 0], [2, 0, 0]])
    targets = Targets(torch.zeros(3, dtype=torch.long), torch.ones(3), ids, values)
    logits = torch.tensor([[900.0, 0.0, zero], [0.0, -900.0, 900.0], [0.0, 0.0, 2000.0]]).requires_grad_()
    found = each(objective, logits, targets)
    assert found.tolist() == pytest.approx([-math.log(objective.skew), -math.log(objective.skew), 0.0], abs=1e-3)
    objective.loss(logits, targets).backward()
    assert bool(logits.grad.isfinite().all())  # type: ignore[union-attr]


@pytest.mark.parametrize("k", [3, 12])
def test_skew_kl_goes_to_both_kls(k: int) -> None:
    logits, _, targets = case(6, 12, k, 1)
    forward, reverse = each(GeneralizedJSD(0.0), logits, targets), each(GeneralizedJSD(1.0), logits, targets)
    assert torch.allclose(each(SkewKL("forward", 1e-7), logits, targets), forward, atol=1e-3)
    assert torch.allclose(each(SkewKL("reverse", 1e-7), logits, targets), reverse, atol=1e-3)
    assert not torch.allclose(forward, reverse, atol=0.1)
    assert float(each(SkewKL("forward", 1 - 1e-6), logits, targets).abs().max()) < 1e-4


@pytest.mark.parametrize("k", [3, 12])
def test_jsd_over_beta_goes_to_both_kls(k: int) -> None:
    logits, _, targets = case(6, 12, k, 1, sharpness=0.7)
    small = 2.0**-10
    forward, reverse = each(TopKKL("tail"), logits, targets), each(GeneralizedJSD(1.0), logits, targets)
    assert torch.allclose(each(GeneralizedJSD(0.0), logits, targets), forward, atol=1e-5)
    assert torch.allclose(each(GeneralizedJSD(small), logits, targets) / small, forward, rtol=0.05)
    assert torch.allclose(each(GeneralizedJSD(1 - small), logits, targets) / small, reverse, rtol=0.05)


def test_jsd_is_symmetric_at_one_half_and_at_most_log_2() -> None:
    logits, teacher, targets = case(6, 12, 12, 2, sharpness=30.0)
    values, ids = logits.log_softmax(1).topk(12, 1)
    swapped = Targets(targets.tokens, targets.weights, ids, values)
    there, back = each(GeneralizedJSD(), logits, targets), each(GeneralizedJSD(), teacher, swapped)
    assert torch.allclose(there, back, atol=1e-5)
    assert 0.1 < float(there.max()) <= math.log(2) + 1e-6


@pytest.mark.parametrize("power", [1.0, 0.5])
@pytest.mark.parametrize("k", [4, 10])
def test_sampled_gradients_are_unbiased(power: float, k: int) -> None:
    """Each of many tokens draws only two, and their mean is the exact loss and gradient."""
    n = 20_000
    one, _, targets = case(1, 10, k, 3, sharpness=1.0)
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    weights = torch.full((n,), 1 / n)
    many = Targets(torch.arange(n), weights, targets.top_ids.expand(n, -1), targets.top_logprobs.expand(n, -1))
    logits = one.expand(n, -1).clone().requires_grad_()
    loss = SampledKL(draws=2, power=power).loss(logits, many)
    loss.backward()
    exact = one.clone().requires_grad_()
    whole = Targets(targets.tokens, torch.ones(1), targets.top_ids, targets.top_logprobs)
    expected = TopKKL("tail").loss(exact, whole)
    expected.backward()
    assert logits.grad is not None
    assert exact.grad is not None
    assert loss.item() == pytest.approx(expected.item(), abs=0.03)
    assert torch.allclose(logits.grad.sum(0), exact.grad[0], atol=0.012)
    assert float((logits.grad * n).std(0).max()) > 0.1  # the draws differ


def test_a_draw_belongs_to_its_token_and_to_the_seed() -> None:
    logits, _, targets = case(8, 10, 4, 4)
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    alone = each(SampledKL(draws=2), logits, targets)
    for i, weights in enumerate(torch.eye(8)):
        only = Targets(targets.tokens, weights, targets.top_ids, targets.top_logprobs)
        assert torch.allclose(SampledKL(draws=2).loss(logits, only), alone[i], atol=1e-6)
    nothing = torch.full((8, 3), -torch.inf)
    padded = Targets(
        targets.tokens,
        targets.weights,
        torch.cat([targets.top_ids, torch.zeros(8, 3, dtype=torch.long)], 1),
        torch.cat([targets.top_logprobs, nothing], 1),
    )
    assert torch.allclose(each(SampledKL(draws=2), logits, padded), alone, atol=1e-5)
    assert not torch.allclose(each(SampledKL(draws=2, seed=1), logits, targets), alone, atol=1e-3)


def test_full_kl_on_a_part_is_the_tail_kl_at_temperature_1() -> None:
    logits, _, targets = case(6, 12, 12, 5)
    assert targets.top_logprobs is not None
    values = targets.top_logprobs.clone()
    values[3:, 5:] = -torch.inf
    part = Targets(targets.tokens, targets.weights, targets.top_ids, values)
    found = each(FullKL(alpha=0.0), logits, part)
    assert torch.allclose(found[:3], each(FullKL(alpha=0.0), logits, targets)[:3])
    assert torch.allclose(found[3:], each(TopKKL("tail"), logits, part)[3:], atol=1e-5)


def test_temperature_keeps_the_size_of_the_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = (0.01 * torch.randn(4, 8, generator=generator)).log_softmax(1)
    values, ids = teacher.topk(8, 1)
    targets = Targets(torch.zeros(4, dtype=torch.long), torch.ones(4), ids, values)
    gradients = []
    for temperature in (1.0, 2.0, 8.0):
        logits = (0.01 * torch.randn(4, 8, generator=torch.Generator().manual_seed(1))).requires_grad_()
        FullKL(temperature, 0.0).loss(logits, targets).backward()
        assert logits.grad is not None
        gradients.append(float(logits.grad.norm()))
    assert gradients[1] == pytest.approx(gradients[0], rel=0.05)
    assert gradients[2] == pytest.approx(gradients[0], rel=0.05)


def test_uld_does_not_know_tokens_by_name_and_is_zero_only_where_sorted_equal() -> None:
    _, teacher, targets = case(6, 12, 5, 6)
    shuffled = teacher[:, torch.randperm(12, generator=torch.Generator().manual_seed(0))]
    text = cross_entropy(shuffled, targets.tokens, reduction="none")
    assert torch.allclose(each(ULD(), shuffled, targets), text, atol=1e-5)
    sharper = 1.2 * shuffled
    text = cross_entropy(sharper, targets.tokens, reduction="none")
    assert bool((each(ULD(), sharper, targets) > text + 1e-3).all())


@pytest.mark.parametrize(("teacher_size", "student_size"), [(12, 5), (5, 12)])
def test_uld_fills_up_the_smaller_vocabulary_with_zeros(teacher_size: int, student_size: int) -> None:
    generator = torch.Generator().manual_seed(0)
    teacher, logits = (
        torch.randn(1, teacher_size, generator=generator),
        torch.randn(1, student_size, generator=generator),
    )
    p, q = ([*sorted(x.softmax(1)[0].tolist(), reverse=True), *[0.0] * 12][:12] for x in (teacher, logits))
    values, ids = teacher.log_softmax(1).topk(teacher_size)
    targets = Targets(torch.zeros(1, dtype=torch.long), torch.ones(1), ids, values)
    distance = float(ULD(1.0).loss(logits, targets) - cross_entropy(logits, targets.tokens))
    assert distance == pytest.approx(sum(abs(a - b) for a, b in zip(p, q, strict=True)), abs=1e-5)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_withheld_entries_count_as_not_disclosed_and_withheld_tokens_as_text(objective: Any) -> None:
    logits, _, targets = case(6, 12, 4, 0)
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    padded = Targets(
        targets.tokens,
        targets.weights,
        torch.cat([targets.top_ids, torch.zeros(6, 2, dtype=torch.long)], 1),
        torch.cat([targets.top_logprobs, torch.full((6, 2), -torch.inf)], 1),
    )
    assert torch.allclose(objective.loss(logits, padded), objective.loss(logits, targets), atol=1e-5)
    nothing = Targets(targets.tokens, targets.weights, targets.top_ids, torch.full((6, 4), -torch.inf))
    logits.requires_grad_()
    loss = objective.loss(logits, nothing)
    assert torch.allclose(loss, cross_entropy(logits, targets.tokens, reduction="none") @ targets.weights, atol=1e-5)
    loss.backward()
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("sharpness", [1.0, 60.0, 1000.0])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_gradients_stay_finite_where_no_mass_is_left(objective: Any, sharpness: float, k: int) -> None:
    logits, _, targets = case(16, 8, k, 1, sharpness)
    logits.requires_grad_()
    loss = objective.loss(logits, targets)
    loss.backward()
    assert bool(loss.isfinite())
    assert logits.grad is not None
    assert bool(logits.grad.isfinite().all())


@pytest.mark.parametrize("objective", [SampledKL(), FullKL(alpha=0.0), *LOWER_BOUNDS])
def test_a_student_at_the_teacher_has_nothing_to_learn(objective: Any) -> None:
    for k in (4, 12):
        _, teacher, targets = case(6, 12, k, 0)
        assert float(each(objective, teacher, targets).abs().max()) < 1e-5


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_noise_above_a_mass_of_1_and_ids_past_the_head_are_no_accident(objective: Any) -> None:
    logits, _, targets = case(6, 12, 4, 0)
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    ids = targets.top_ids.clone()
    ids[:, -1] = 12  # a padding row of the teacher's head
    loss = objective.loss(logits, Targets(targets.tokens, targets.weights, ids, targets.top_logprobs + 1.0))
    assert bool(loss.isfinite())
    assert float(loss) > 0


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        (lambda: SampledKL(draws=0), r"objective\.draws >= 1"),
        (lambda: SampledKL(power=0.0), r"objective\.power"),
        (lambda: FullKL(temperature=0.0), "temperature must be positive"),
        (lambda: FullKL(alpha=2.0), "alpha is a share"),
        (lambda: SkewKL("sideways"), "forward, reverse"),  # type: ignore[arg-type]
        (lambda: SkewKL(skew=0.0), "objective=topk_kl"),
        (lambda: GeneralizedJSD(beta=1.5), r"within \[0, 1\]"),
        (lambda: ULD(weight=0.0), "objective=sft"),
    ],
)
def test_wrong_options_are_refused(wrong: Any, remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        wrong()


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_an_interface_of_text_is_refused(objective: Any) -> None:
    with pytest.raises(UserError, match=r"interface\.full_logits"):
        check_signals(objective, Interface())
    check_signals(objective, Interface(full_logits=True))
    logits, _, targets = case(2, 8, 2, 0)
    with pytest.raises(UserError, match="top logprobs"):
        objective.loss(logits, Targets(targets.tokens, targets.weights))


def test_full_kl_is_refused_where_only_some_logits_are_sold() -> None:
    with pytest.raises(UserError, match="full_logits"):
        check_signals(FullKL(), Interface(top_logprobs=20))
