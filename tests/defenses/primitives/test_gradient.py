import pytest
import torch
from defense_fakes import FakePreparation, mean_nll, tiny

from defenses.primitives.gradient import trace_gradient
from spiritsafe.errors import UserError


def test_gradient_is_that_of_the_mean_nll_with_prompts_masked(teacher, proxy):
    traces = FakePreparation(teacher).traces(7)
    weights = {name: p.detach().clone().requires_grad_() for name, p in proxy.model.named_parameters()}
    loss = mean_nll(proxy.model, weights, traces, proxy.prompt_ids)
    expected = dict(zip(weights, torch.autograd.grad(loss, list(weights.values())), strict=True))
    for batch in (1, 3, 7):
        found = trace_gradient(proxy, traces, batch)
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-4)
    assert not any(p.requires_grad or p.grad is not None for p in proxy.model.parameters())


def test_gradient_of_tied_weights(teacher):
    proxy, traces = tiny("llama_tied"), FakePreparation(teacher).traces(4)
    model = proxy.model.requires_grad_(True)
    mean_nll(model, dict(model.named_parameters()), traces, proxy.prompt_ids).backward()
    found = trace_gradient(proxy, traces, 2)
    torch.testing.assert_close(
        found["model.embed_tokens.weight"], model.model.embed_tokens.weight.grad, atol=1e-5, rtol=1e-4
    )


def test_no_traces_is_a_clear_error(proxy):
    with pytest.raises(UserError, match="no usable gradient on 0 teacher traces"):
        trace_gradient(proxy, [], 4)
