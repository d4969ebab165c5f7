from types import SimpleNamespace

import pytest
import torch
from defense_fakes import fake_rows, tiny

from defenses.primitives.directional import DirectionalScore, check_vocabularies, norm
from spiritsafe.errors import UserError


@pytest.fixture
def direction(proxy):
    generator = torch.Generator().manual_seed(5)
    raw = {name: torch.randn(p.shape, generator=generator) for name, p in proxy.model.named_parameters()}
    length = norm(raw)
    return {name: tensor / length for name, tensor in raw.items()}


def by_backpropagation(proxy, direction, context):
    """< ∇ log p(v), direction >, one backward pass a token."""
    weights = {name: p.detach().clone().requires_grad_() for name, p in proxy.model.named_parameters()}
    out = torch.func.functional_call(proxy.model, weights, kwargs={"input_ids": torch.tensor([context])})
    logprobs = out.logits[0, -1].log_softmax(-1)
    scores = []
    for value in logprobs:
        gradients = torch.autograd.grad(value, list(weights.values()), retain_graph=True)
        scores.append(sum((g * direction[name]).sum() for name, g in zip(weights, gradients, strict=True)))
    return torch.stack(scores).detach()


def sine(a, b):
    """Of the angle between two vectors, without the cancellation of 1 − cos²."""
    a, b = a.flatten().double(), b.flatten().double()
    a, b = a / a.norm(), b / b.norm()
    return float((a - (a @ b) * b).norm())


def test_both_methods_equal_backpropagation(proxy, direction):
    rows = fake_rows(4)
    expected = torch.stack([by_backpropagation(proxy, direction, context) for context in rows.contexts])
    exact = DirectionalScore(proxy, direction, 1.0, "jvp")(rows)
    torch.testing.assert_close(exact, expected, atol=1e-5, rtol=1e-4)
    step = 1e-3 * norm(dict(proxy.model.named_parameters()))
    close = DirectionalScore(proxy, direction, step)(rows)
    torch.testing.assert_close(close, expected, atol=1e-3, rtol=1e-2)


def test_error_is_u_shaped_in_the_step_and_the_default_sits_at_the_bottom(proxy, direction):
    rows, size = fake_rows(6), norm(dict(proxy.model.named_parameters()))
    exact = DirectionalScore(proxy, direction, 1.0, "jvp")(rows)
    small, default, large = (
        sine(DirectionalScore(proxy, direction, epsilon * size)(rows), exact) for epsilon in (1e-6, 1e-3, 1.0)
    )
    assert default < 1e-3
    assert small > 5 * default
    assert large > 5 * default


def test_score_has_no_mean_under_the_proxy(proxy, direction):
    rows = fake_rows(3)
    weights = rows.follow(proxy.model).softmax(-1)
    means = (weights * DirectionalScore(proxy, direction, 1.0, "jvp")(rows)).sum(-1)
    torch.testing.assert_close(means, torch.zeros(3), atol=1e-5, rtol=0)


def test_vocabularies_must_agree(teacher):
    check_vocabularies(teacher, tiny(seed=9))
    with pytest.raises(UserError, match=r"has 48 output tokens and the teacher .* has 64: choose a proxy"):
        check_vocabularies(teacher, tiny(vocabulary=48))
    renamed, renumbered = tiny(seed=9), tiny(seed=9)
    renamed.tokenizer.add_tokens(["<extra>"], special_tokens=True)
    check_vocabularies(teacher, renamed)
    numbers = {f"w{index}": 63 - index for index in range(62)}
    renumbered.tokenizer = SimpleNamespace(get_vocab=lambda: numbers, get_added_vocab=dict)
    with pytest.raises(UserError, match="number them differently"):
        check_vocabularies(teacher, renumbered)
