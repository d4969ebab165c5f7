import builtins
from dataclasses import replace
from typing import Any

import pytest
import torch
from student_world import examples, student
from torch import nn

from spiritsafe.errors import UserError
from student.lora import LoRA, adapt
from student.sft import SFT
from student.training import Recipe, train

RECIPE = Recipe(steps=10, learning_rate=1e-2, batch_size=8, lora=LoRA(rank=3, alpha=6.0))


def test_only_adapters_are_trained_and_they_merge() -> None:
    lm = student()
    trained, losses = train(lm, examples(30), SFT(), RECIPE)
    assert losses[-1] < losses[0]
    assert type(trained.model) is type(lm.model)
    before, after = lm.model.state_dict(), trained.model.state_dict()
    assert before.keys() == after.keys()
    for name, weight in before.items():
        if "proj" in name:
            assert 1 <= int(torch.linalg.matrix_rank(after[name] - weight, atol=1e-4)) <= 3
        else:
            assert torch.equal(after[name], weight), name


def test_adapters_start_as_nothing_and_are_all_that_can_be_trained() -> None:
    lm = student()
    ids = torch.arange(4, 12)[None]
    expected = lm.model(ids).logits
    adapted = adapt(lm.model.requires_grad_(True), LoRA(rank=2, alpha=2.0, dropout=0.5)).eval()
    assert torch.allclose(adapted(ids).logits, expected, atol=1e-6)
    trainable = {name for name, p in adapted.named_parameters() if p.requires_grad}
    linear = [m for m in student().model.model.modules() if isinstance(m, nn.Linear)]
    assert len(trainable) == 2 * len(linear)
    assert all("lora_" in name for name in trainable)


def test_dropout_checkpointing_and_bfloat16_go_together_and_repeat() -> None:
    lm, rows = student(), examples(30)
    recipe = replace(RECIPE, lora=LoRA(rank=3, alpha=6.0, dropout=0.2), gradient_checkpointing=True, dtype="bfloat16")
    first, losses = train(lm, rows, SFT(), recipe, seed=4)
    second, again = train(lm, rows, SFT(), recipe, seed=4)
    assert losses == again
    assert first.digest == second.digest


def test_a_missing_peft_names_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_peft(name: str, *args: Any, **options: Any) -> Any:
        if name == "peft":
            raise ImportError(name)
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without_peft)
    with pytest.raises(UserError, match=r"pip install spiritsafe\[lora\]"):
        train(student(), examples(8), SFT(), RECIPE)


def test_wrong_ranks_are_refused() -> None:
    with pytest.raises(UserError, match="rank"):
        LoRA(rank=0)
