import copy

import pytest
import torch
from defense_fakes import tiny
from torch import nn

from defenses.primitives.paired import pair

FAMILIES = ["llama", "llama_tied", "qwen2", "gpt_neox"]


def perturbed(model: nn.Module, direction: dict[str, torch.Tensor], step: float) -> nn.Module:
    changed = copy.deepcopy(model)
    for name, parameter in changed.named_parameters():
        parameter.data += step * direction[name]
    return changed


def random_direction(model: nn.Module) -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return {name: torch.randn_like(parameter) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_two_perturbed_models_with_a_cache(family):
    model = tiny(family).model
    direction = random_direction(model)
    both = pair(model, direction, 0.05)
    apart = [perturbed(model, direction, step) for step in (0.05, -0.05)]
    ids = torch.randint(64, (3, 9), generator=torch.Generator().manual_seed(0))

    together = both(input_ids=ids[:, :5].repeat(2, 1), use_cache=True)
    alone = [single(input_ids=ids[:, :5], use_cache=True) for single in apart]
    torch.testing.assert_close(together.logits, torch.cat([each.logits for each in alone]), atol=1e-5, rtol=1e-5)
    assert (alone[0].logits - alone[1].logits).abs().max() > 0.1
    for column in range(5, 9):
        token = ids[:, column : column + 1]
        together = both(input_ids=token.repeat(2, 1), past_key_values=together.past_key_values, use_cache=True)
        alone = [
            single(input_ids=token, past_key_values=before.past_key_values, use_cache=True)
            for single, before in zip(apart, alone, strict=True)
        ]
        torch.testing.assert_close(together.logits, torch.cat([each.logits for each in alone]), atol=1e-5, rtol=1e-5)


def test_leaves_the_model_alone_and_shares_tied_weights():
    model = tiny("llama_tied").model
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    both = pair(model, random_direction(model), 0.1)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name])
    head, embedding = both.lm_head.weight, both.model.embed_tokens.plus.weight
    assert head.untyped_storage().data_ptr() == embedding.untyped_storage().data_ptr()


def test_owners_of_parameters_that_have_children_are_kept_whole():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = nn.Parameter(torch.tensor([2.0]))
            self.inner = nn.Linear(3, 3, bias=True)

        def forward(self, inputs):
            return self.inner(inputs) * self.scale

    torch.manual_seed(0)
    model = nn.Sequential(Scaled(), nn.Linear(3, 2, bias=True))
    direction = random_direction(model)
    inputs = torch.randn(4, 3)
    expected = torch.cat([perturbed(model, direction, step)(inputs) for step in (0.3, -0.3)])
    torch.testing.assert_close(pair(model, direction, 0.3)(inputs.repeat(2, 1)), expected)
