import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from student_world import examples, student
from torch import Tensor
from torch.utils.data import SequentialSampler
from transformers import DataCollatorForSeq2Seq, Trainer, TrainingArguments

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.models import LanguageModel
from student.batches import Batches
from student.sft import SFT
from student.topk_kl import TopKKL
from student.training import CompletionLogits, Recipe, train

RECIPE = Recipe(steps=6, learning_rate=1e-2, batch_size=8)


def weights(language_model: LanguageModel) -> Tensor:
    return torch.cat([weight.flatten() for weight in language_model.model.state_dict().values()])


@pytest.mark.parametrize("architecture", ["llama", "llama_tied", "qwen2", "gemma", "gpt_neox", "granite"])
def test_logits_and_gradients_are_the_full_models_at_completion_positions(architecture: str) -> None:
    lm = student(architecture)
    batch = Batches(lm, examples(7)).collate(torch.arange(7))
    reference, ours = copy.deepcopy(lm.model).requires_grad_(True), CompletionLogits(lm.model.requires_grad_(True))
    mask = torch.arange(batch.input_ids.shape[1]) < (batch.input_ids != 0).sum(1, keepdim=True)
    full = reference(input_ids=batch.input_ids, attention_mask=mask).logits.flatten(0, 1)[batch.positions]
    logits = ours(batch.input_ids, batch.positions)
    assert ours.plain_head == (architecture != "granite")  # granite scales its logits
    assert torch.allclose(logits, full, atol=1e-5)
    SFT().loss(full, batch.targets).backward()
    SFT().loss(logits, batch.targets).backward()
    for parameter, expected in zip(ours.model.parameters(), reference.parameters(), strict=True):
        assert torch.allclose(parameter.grad, expected.grad, atol=1e-4)


class RecordingTrainer(Trainer):  # type: ignore[misc]
    """Takes the rows in the order given and keeps the loss of every step."""

    def _get_train_sampler(self, *args: Any) -> Any:
        return SequentialSampler(self.train_dataset)

    def training_step(self, *args: Any, **options: Any) -> Tensor:
        loss: Tensor = super().training_step(*args, **options)
        self.losses.append(float(loss))
        return loss


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_trajectory_is_that_of_transformers_trainer(schedule: Any, tmp_path: Path) -> None:
    lm, rows = student(), examples(50)
    recipe = replace(RECIPE, steps=8, warmup=0.2, schedule=schedule, weight_decay=0.1, betas=(0.9, 0.95))
    ours, losses = train(lm, rows, SFT(), recipe, seed=3)

    order = Batches(lm, rows).order(8, 3)
    data = []
    for row in torch.cat([next(order) for _ in range(8)]).tolist():
        prompt = lm.prompt_ids(rows[row].messages)
        completion = lm.completion_ids(rows[row].completion)
        data.append({"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion})
    arguments = TrainingArguments(
        str(tmp_path), max_steps=8, per_device_train_batch_size=8, learning_rate=1e-2, weight_decay=0.1,
        lr_scheduler_type="constant_with_warmup" if schedule == "constant" else schedule, warmup_steps=0.2,
        adam_beta2=0.95, max_grad_norm=1.0, use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    model = copy.deepcopy(lm.model).requires_grad_(True)
    trainer = RecordingTrainer(model, arguments, DataCollatorForSeq2Seq(lm.tokenizer), data)
    trainer.losses = []
    trainer.train()

    assert losses == pytest.approx(trainer.losses, abs=1e-5)
    assert losses[-1] < losses[0]
    assert torch.allclose(weights(ours), weights(replace(lm, model=model)), atol=1e-4)


def test_batch_1_times_accumulation_8_is_batch_8() -> None:
    lm = student()
    rows = [replace(row, weight=0.25 + i % 3) for i, row in enumerate(examples(30))]
    whole, losses = train(lm, rows, SFT(), RECIPE)
    parts, again = train(lm, rows, SFT(), replace(RECIPE, accumulation=8))
    thirds, uneven = train(lm, rows, SFT(), replace(RECIPE, accumulation=3))
    assert losses == pytest.approx(again, abs=1e-5)
    assert losses == pytest.approx(uneven, abs=1e-5)
    assert torch.allclose(weights(whole), weights(parts), atol=1e-4)
    assert torch.allclose(weights(whole), weights(thirds), atol=1e-4)


def test_the_loss_is_the_weighted_sum_over_the_number_of_completion_tokens() -> None:
    lm = student()
    rows = [replace(row, weight=float(i)) for i, row in enumerate(examples(5))]
    _, [loss] = train(lm, rows, SFT(), replace(RECIPE, steps=1, batch_size=5))
    total, count = 0.0, 0
    for row in rows:
        prompt, completion = lm.prompt_ids(row.messages), lm.completion_ids(row.completion)
        logprobs = lm.model(torch.tensor([prompt + completion])).logits[0].log_softmax(1)
        total -= row.weight * sum(float(logprobs[len(prompt) + i - 1, t]) for i, t in enumerate(completion))
        count += len(completion)
    assert loss == pytest.approx(total / count, abs=1e-5)


def test_same_seed_same_student_and_the_given_model_is_untouched() -> None:
    lm, rows = student(), examples(30)
    before, state = weights(lm).clone(), torch.random.get_rng_state()
    first, losses = train(lm, rows, SFT(), RECIPE, seed=1)
    second, again = train(lm, rows, SFT(), RECIPE, seed=1)
    other, _ = train(lm, rows, SFT(), RECIPE, seed=2)
    assert losses == again
    assert torch.equal(weights(first), weights(second))
    assert first.digest == second.digest
    assert len({lm.digest, first.digest, other.digest}) == 3
    assert torch.equal(weights(lm), before)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not any(p.requires_grad for p in [*lm.model.parameters(), *first.model.parameters()])
    assert not first.model.training


@pytest.mark.parametrize("count", [1, 5, 100])
def test_steps_do_not_depend_on_the_amount_of_data(count: int) -> None:
    seen: list[tuple[int, float]] = []
    _, losses = train(student(), examples(count), SFT(), RECIPE, on_step=lambda step, loss: seen.append((step, loss)))
    assert seen == list(enumerate(losses, 1))
    assert len(losses) == 6


def test_learns_from_top_logprobs_with_few_steps() -> None:
    teacher, lm = student(seed=5), student()
    rows = []
    for row in examples(40):
        prompt, completion = lm.prompt_ids(row.messages), lm.completion_ids(row.completion)
        logprobs = (8 * teacher.model(torch.tensor([prompt + completion])).logits[0]).log_softmax(1)
        values, ids = logprobs[len(prompt) - 1 : -1].topk(5)
        rows.append(
            replace(
                row,
                token_ids=tuple(completion),
                top_ids=tuple(map(tuple, ids.tolist())),
                top_logprobs=tuple(map(tuple, values.tolist())),
            )
        )
    _, losses = train(lm, rows, TopKKL(), replace(RECIPE, steps=60))
    assert losses[-1] < 0.5 * losses[0]
    with pytest.raises(UserError, match="objective=sft"):
        train(lm, rows, TopKKL(), RECIPE, same_tokenizer=False)


def test_bfloat16_follows_float32() -> None:
    lm, rows = student(), examples(30)
    trained, losses = train(lm, rows, SFT(), replace(RECIPE, dtype="bfloat16"))
    _, exact = train(lm, rows, SFT(), RECIPE)
    assert losses == pytest.approx(exact, abs=0.05)
    assert losses != exact
    assert trained.model.dtype == torch.float32


def test_gradient_checkpointing_changes_nothing() -> None:
    lm, rows = student(), examples(30)
    _, losses = train(lm, rows, SFT(), replace(RECIPE, gradient_checkpointing=True))
    assert losses == pytest.approx(train(lm, rows, SFT(), RECIPE)[1], abs=1e-5)


def test_a_diverging_student_is_one_clear_error() -> None:
    with pytest.raises(UserError, match=r"lower recipe\.learning_rate"):
        train(student(), [replace(row, weight=float("inf")) for row in examples(8)], SFT(), RECIPE)


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"steps": 0}, "positive"),
        ({"accumulation": 9}, r"raise recipe\.batch_size"),
        ({"warmup": 1.0}, "share of the steps"),
        ({"schedule": "cyclic"}, "cosine, constant, linear"),
        ({"dtype": "float16"}, "float32, bfloat16"),
    ],
)
def test_wrong_recipes_are_refused_at_once(wrong: dict[str, Any], remedy: str) -> None:
    with pytest.raises(UserError, match=remedy):
        replace(RECIPE, **wrong)


def test_no_examples() -> None:
    nothing: list[Example] = []
    with pytest.raises(UserError, match="raise the budget"):
        train(student(), nothing, SFT(), RECIPE)
