"""Objectives on the student's own samples against exact gradients: every completion of a toy policy, by its weight."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import Tensor

from spiritsafe.errors import UserError
from spiritsafe.interface import Interface
from spiritsafe.objective import Objective, Targets, check_signals
from student.gkd import GKD
from student.minillm import MiniLLM, _after
from student.policy import with_chosen
from student.reverse_kl import SampledReverseKL

V = 7
CONFIGS = Path(__file__).parents[2] / "configs" / "objective"


def pair(seed: int, *shape: int) -> tuple[Tensor, Tensor]:
    """Student logits that need a gradient, and the teacher's log probabilities."""
    generator = torch.Generator().manual_seed(seed)
    student, teacher = (2 * torch.randn(*shape, V, generator=generator, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(True), teacher.log_softmax(-1)


def gradient(loss: Tensor, logits: Tensor) -> Tensor:
    return torch.autograd.grad(loss, logits)[0]


@pytest.mark.parametrize("kept", [True, False])
def test_sampled_reverse_kl_has_the_gradient_of_the_reverse_kl_in_expectation(kept: bool) -> None:
    logits, teacher = pair(0)
    log_q = logits.log_softmax(-1)
    every = Targets(torch.arange(V), log_q.detach().exp(), chosen=teacher, behaviour=log_q.detach() if kept else None)
    loss = SampledReverseKL(coefficient=3.0).loss(logits.expand(V, V), every)
    exact = 3 * (log_q.exp() * (log_q - teacher)).sum()
    assert loss.item() == pytest.approx(exact.item())
    assert torch.allclose(gradient(loss, logits), gradient(exact, logits), atol=1e-10)


def test_samples_of_another_policy_are_importance_weighted() -> None:
    logits, teacher = pair(1)
    log_q, old = logits.log_softmax(-1), torch.linspace(-1, 1, V, dtype=torch.float64).log_softmax(0)
    every = Targets(torch.arange(V), old.exp(), chosen=teacher, behaviour=old)
    loss = SampledReverseKL().loss(logits.expand(V, V), every)
    assert torch.allclose(gradient(loss, logits), gradient((log_q.exp() * (old - teacher)).sum(), logits), atol=1e-10)


def test_what_the_teacher_gave_no_number_for_has_no_gradient() -> None:
    logits, teacher = pair(2, 4)
    chosen = teacher[:, 0].clone()
    chosen[1:3] = -torch.inf
    targets = Targets(torch.zeros(4, dtype=torch.long), torch.ones(4).double(), chosen=chosen, rows=torch.arange(4))
    withheld = replace(
        targets, top_ids=torch.zeros(4, 1, dtype=torch.long), top_logprobs=torch.full((4, 1), -torch.inf).double()
    )
    for objective, given in ((SampledReverseKL(), targets), (MiniLLM(), targets), (GKD(), withheld)):
        moved = gradient(objective.loss(logits, given), logits).abs().sum(1)
        assert (moved > 0).tolist() == [True, False, False, True]


def sequences() -> list[tuple[int, int, int]]:
    return list(product(range(V), repeat=3))


def policy(seed: int) -> tuple[list[Tensor], Tensor, Tensor]:
    """Parameters of a policy of three tokens, the logits [V³, 3, V] that every completion meets, the teacher's."""
    parts = [pair(seed + i, *shape) for i, shape in enumerate(((), (V,), (V, V)))]
    first, second, third = (logits for logits, _ in parts)
    ours = torch.stack([torch.stack([first, second[a], third[a, b]]) for a, b, _ in sequences()])
    theirs = torch.stack([torch.stack([parts[0][1], parts[1][1][a], parts[2][1][a, b]]) for a, b, _ in sequences()])
    return [first, second, third], ours, theirs


@pytest.mark.parametrize("single_step", [True, False])
def test_minillm_has_the_gradient_of_the_reverse_kl_of_whole_completions(single_step: bool) -> None:
    parameters, ours, theirs = policy(3)
    tokens = torch.tensor(sequences())[..., None]
    log_q, log_p = (part.log_softmax(-1).gather(2, tokens)[..., 0] for part in (ours, theirs))
    exact = (log_q.sum(1).exp() * (log_q - log_p).sum(1)).sum()
    targets = Targets(
        tokens.flatten(),
        log_q.detach().sum(1).exp().repeat_interleave(3),
        chosen=log_p.flatten(),
        behaviour=log_q.detach().flatten(),
        rows=torch.arange(V**3).repeat_interleave(3),
    )
    if single_step:
        targets = replace(targets, top_ids=torch.arange(V).expand(3 * V**3, V), top_logprobs=theirs.flatten(0, 1))
    loss = MiniLLM(normalised=False).loss(ours.flatten(0, 1), targets)
    for expected, found in zip(
        torch.autograd.grad(exact, parameters, retain_graph=True), torch.autograd.grad(loss, parameters), strict=True
    ):
        assert torch.allclose(found, expected, atol=1e-8)


def test_returns_are_means_over_what_is_left_of_the_own_completion() -> None:
    rows = torch.tensor([0, 0, 0, 1, 1])
    assert _after(torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]), rows).tolist() == [6, 4, 0, 16, 0]
    logits = torch.zeros(5, V, requires_grad=True)
    chosen = -math.log(V) + torch.tensor([3.0, 6.0, 12.0, 1.0, 5.0])
    targets = Targets(torch.zeros(5, dtype=torch.long), torch.ones(5), chosen=chosen, rows=rows)
    slope = gradient(MiniLLM().loss(logits, targets), logits)[:, 0] / -(1 - 1 / V)
    assert slope.tolist() == pytest.approx([7, 9, 12, 3, 5], abs=1e-4)


def jsd(log_p: Tensor, log_q: Tensor, beta: float) -> Tensor:
    def kl(a: Tensor, b: Tensor) -> Tensor:
        return (a.exp() * (a - b)).sum(1)

    if beta in (0, 1):
        return kl(log_q, log_p) if beta else kl(log_p, log_q)
    mixture = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return beta * kl(log_p, mixture) + (1 - beta) * kl(log_q, mixture)


def visited(k: int, n: int = 40) -> tuple[Tensor, Tensor, Targets]:
    logits, teacher = pair(11, n)
    values, ids = teacher.topk(k, 1)
    tokens = torch.multinomial(logits.detach().softmax(1), 1, generator=torch.Generator().manual_seed(0))[:, 0]
    chosen = teacher.gather(1, tokens[:, None])[:, 0]
    return logits, teacher, Targets(tokens, torch.ones(n).double(), ids, values, chosen)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_gkd_is_the_jsd_and_the_sampled_token_brings_it_closer(beta: float) -> None:
    objective = GKD(beta=beta)
    logits, teacher, targets = visited(k=V)
    full = jsd(teacher, logits.log_softmax(1), beta).sum().item()
    assert objective.loss(logits, targets).item() == pytest.approx(full, rel=1e-4)
    *_, targets = visited(k=2)
    with_it = objective.loss(logits, targets).item()
    without = objective.loss(logits, replace(targets, chosen=None)).item()
    assert without < with_it < full


def test_the_sampled_token_is_counted_once() -> None:
    _, teacher, targets = visited(k=3)
    both = with_chosen(targets)
    assert both.top_ids is not None
    assert both.top_logprobs is not None
    for ids, values, token, log_p in zip(both.top_ids, both.top_logprobs, targets.tokens, teacher, strict=True):
        shown = ids[values.isfinite()].tolist()
        assert len(set(shown)) == len(shown)
        assert int(token) in shown
        assert torch.equal(log_p[shown], values[values.isfinite()])


@pytest.mark.parametrize("objective", [SampledReverseKL(), MiniLLM()])
def test_they_need_scores(objective: Any) -> None:
    with pytest.raises(UserError, match=r"interface\.scoring=true"):
        objective.loss(torch.zeros(1, V), Targets(torch.zeros(1, dtype=torch.long), torch.ones(1)))


@pytest.mark.parametrize("objective", [SampledReverseKL(), MiniLLM(), GKD()])
def test_an_interface_without_scores_is_refused(objective: Objective) -> None:
    with pytest.raises(UserError, match=r"interface\.scoring=true"):
        check_signals(objective, Interface(top_logprobs=5))
    check_signals(objective, Interface(top_logprobs=5, scoring=True))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (SampledReverseKL, {"coefficient": 0.0}),
        (MiniLLM, {"top_logprobs": -1}),
        (GKD, {"beta": 1.5}),
        (GKD, {"on_policy": -0.1}),
        (GKD, {"top_logprobs": 0}),
    ],
)
def test_wrong_knobs_are_refused_at_once(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"objective\.{next(iter(wrong))}"):
        kind(**wrong)


@pytest.mark.parametrize(
    ("name", "expected"), [("sampled_reverse_kl", SampledReverseKL()), ("minillm", MiniLLM()), ("gkd", GKD())]
)
def test_config_builds_the_objective_with_its_defaults(name: str, expected: Any) -> None:
    assert instantiate(OmegaConf.load(CONFIGS / f"{name}.yaml")) == expected
