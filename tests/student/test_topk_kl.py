import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Interface
from spiritsafe.objective import Targets, check_signals
from student.sft import SFT
from student.topk_kl import Missing, TopKKL

MODES: tuple[Missing, ...] = ("tail", "renorm", "zero")


def case(n: int, vocabulary: int, k: int, seed: int, sharpness: float = 3.0) -> tuple[Tensor, Tensor, Targets]:
    """Student logits, the teacher's full log probabilities, and what an interface with this k discloses of them."""
    generator = torch.Generator().manual_seed(seed)
    logits = sharpness * torch.randn(n, vocabulary, generator=generator)
    teacher = (sharpness * torch.randn(n, vocabulary, generator=generator)).log_softmax(1)
    values, ids = teacher.topk(k, 1)
    weights = torch.rand(n, generator=generator)
    tokens = torch.randint(vocabulary, (n,), generator=generator)
    return logits, teacher, Targets(tokens, weights, ids, values)


def naive(logits: Tensor, targets: Targets, missing: str) -> float:
    """The formulas of the table, a token and a term at a time in double precision."""
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    total = 0.0
    for row, ids, values, weight in zip(
        logits.double().tolist(), targets.top_ids.tolist(), targets.top_logprobs.double().tolist(),
        targets.weights.double().tolist(), strict=True,
    ):  # fmt: skip
        normaliser = sum(math.exp(x) for x in row)
        p = {i: math.exp(v) for i, v in zip(ids, values, strict=True) if v > -math.inf}
        q = {i: math.exp(row[i]) / normaliser for i in p}
        p_mass, q_mass = sum(p.values()), sum(q.values())
        if missing == "tail":
            kl = sum(p[i] * math.log(p[i] / q[i]) for i in p)
            kl += (1 - p_mass) * math.log((1 - p_mass) / (1 - q_mass))
        elif missing == "renorm":
            kl = sum(p[i] / p_mass * math.log(p[i] / p_mass / (q[i] / q_mass)) for i in p)
        else:
            kl = sum(p[i] / p_mass * math.log(p[i] / p_mass / q[i]) for i in p)
        total += weight * kl
    return total


@pytest.mark.parametrize("missing", MODES)
@settings(max_examples=25, deadline=None)
@given(k=st.integers(1, 9), seed=st.integers(0, 1000))
def test_equals_the_formula(missing: Missing, k: int, seed: int) -> None:
    logits, _, targets = case(5, 10, k, seed)
    assert float(TopKKL(missing).loss(logits, targets)) == pytest.approx(naive(logits, targets, missing), abs=2e-5)


@pytest.mark.parametrize("missing", MODES)
def test_with_all_of_the_vocabulary_it_is_the_full_kl(missing: Missing) -> None:
    logits, teacher, _ = case(40, 32, 32, 0, sharpness=1.0)
    full = (teacher.exp() * (teacher - logits.log_softmax(1))).sum(1)
    for i, expected in enumerate(full.tolist()):
        values, ids = teacher[i : i + 1].sort(1, descending=True)
        targets = Targets(torch.zeros(1, dtype=torch.long), torch.ones(1), ids, values)
        assert float(TopKKL(missing).loss(logits[i : i + 1], targets)) == pytest.approx(expected, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(k=st.integers(1, 11), seed=st.integers(0, 1000))
def test_tail_is_a_lower_bound_that_grows_with_k(k: int, seed: int) -> None:
    logits, teacher, targets = case(4, 12, k, seed)
    _, _, more = case(4, 12, k + 1, seed)
    full = (teacher.exp() * (teacher - logits.log_softmax(1))).sum(1) @ targets.weights
    loss = TopKKL("tail").loss(logits, targets)
    assert -1e-5 <= float(loss) <= float(TopKKL("tail").loss(logits, more)) + 1e-5
    assert float(loss) <= float(full) + 1e-5


def test_one_renormalised_token_teaches_nothing() -> None:
    logits, _, targets = case(6, 12, 1, 0)
    logits.requires_grad_()
    loss = TopKKL("renorm").loss(logits, targets)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("missing", MODES)
@pytest.mark.parametrize("sharpness", [1.0, 60.0, 1000.0])
@pytest.mark.parametrize("k", [1, 3, 8])
def test_gradient_stays_finite_and_bounded_when_no_mass_is_left_in_the_tail(
    missing: Missing, sharpness: float, k: int
) -> None:
    logits, _, targets = case(16, 8, k, 1, sharpness)
    logits.requires_grad_()
    TopKKL(missing, alpha=0.1).loss(logits, targets).backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert float(logits.grad.abs().max()) <= 2


def test_student_at_the_teacher_is_at_the_minimum_of_tail_and_renorm() -> None:
    _, teacher, targets = case(6, 12, 4, 0)
    for missing in ("tail", "renorm"):
        logits = teacher.clone().requires_grad_()
        loss = TopKKL(missing).loss(logits, targets)  # type: ignore[arg-type]
        loss.backward()
        assert loss.abs().item() < 1e-5
        assert float(logits.grad.abs().max()) < 1e-5  # type: ignore[union-attr]


@pytest.mark.parametrize("missing", MODES)
def test_withheld_entries_count_as_not_disclosed(missing: Missing) -> None:
    logits, _, targets = case(6, 12, 4, 0)
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    padded = Targets(
        targets.tokens,
        targets.weights,
        torch.cat([targets.top_ids, torch.zeros(6, 2, dtype=torch.long)], 1),
        torch.cat([targets.top_logprobs, torch.full((6, 2), -torch.inf)], 1),
    )
    objective = TopKKL(missing)
    assert torch.allclose(objective.loss(logits, padded), objective.loss(logits, targets), atol=1e-6)
    nothing = Targets(targets.tokens, targets.weights, targets.top_ids, torch.full((6, 4), -torch.inf))
    logits.requires_grad_()
    text = torch.nn.functional.cross_entropy(logits, targets.tokens, reduction="none") @ targets.weights
    assert torch.allclose(objective.loss(logits, nothing), text, atol=1e-5)
    objective.loss(logits, nothing).backward()
    assert bool(logits.grad.isfinite().all())  # type: ignore[union-attr]


def test_only_the_tokens_with_nothing_disclosed_are_learnt_from_text() -> None:
    logits, _, targets = case(6, 12, 4, 0)
    assert targets.top_logprobs is not None
    some = targets.top_logprobs.clone()
    some[2:4] = -torch.inf
    found = TopKKL().loss(logits, Targets(targets.tokens, targets.weights, targets.top_ids, some))
    text = torch.nn.functional.cross_entropy(logits, targets.tokens, reduction="none")
    rest = targets.weights.clone()
    rest[2:4] = 0
    kept = TopKKL().loss(logits, Targets(targets.tokens, rest, targets.top_ids, targets.top_logprobs))
    assert torch.allclose(found, kept + text[2:4] @ targets.weights[2:4], atol=1e-5)


def test_alpha_mixes_in_the_cross_entropy() -> None:
    logits, _, targets = case(6, 12, 4, 0)
    kl, ce = TopKKL().loss(logits, targets), SFT().loss(logits, targets)
    assert torch.allclose(TopKKL(alpha=0.25).loss(logits, targets), 0.75 * kl + 0.25 * ce)
    expected = -(logits.log_softmax(1)[torch.arange(6), targets.tokens] * targets.weights).sum()
    assert torch.allclose(ce, expected)


def test_wrong_options_and_a_text_interface_are_refused() -> None:
    with pytest.raises(UserError, match="tail, renorm, zero"):
        TopKKL("uniform")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="alpha"):
        TopKKL(alpha=1.5)
    with pytest.raises(UserError, match=r"interface\.top_logprobs"):
        check_signals(TopKKL(), Interface())
    check_signals(TopKKL(), Interface(top_logprobs=5))
    check_signals(SFT(), Interface())
