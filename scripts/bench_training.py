"""Training: our loop against transformers' Trainer, from the same examples to a trained copy."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from functools import partial
from tempfile import TemporaryDirectory

from accelerate.state import AcceleratorState
from transformers import DataCollatorForSeq2Seq, PrinterCallback, Trainer, TrainingArguments

from scripts.bench_rounds import Side
from spiritsafe.attack import Example
from spiritsafe.models import LanguageModel
from student.sft import SFT
from student.training import Recipe, train


def rows(student: LanguageModel, examples: Sequence[Example]) -> list[dict[str, list[int]]]:
    """Token ids as the Trainer wants them, prompts masked."""
    made = []
    for example in examples:
        prompt = student.prompt_ids(example.messages, example.prefill)
        completion = student.completion_ids(example.completion)
        made.append({"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion})
    return made


def ours(student: LanguageModel, examples: Sequence[Example], recipe: Recipe, tokens: int) -> int:
    train(student, examples, SFT(), recipe)
    return tokens


def trainer(student: LanguageModel, examples: Sequence[Example], recipe: Recipe, tokens: int, order: str) -> int:
    gpu = student.device.type == "cuda"
    with TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            max_steps=recipe.steps,
            per_device_train_batch_size=recipe.batch_size // recipe.accumulation,
            gradient_accumulation_steps=recipe.accumulation,
            train_sampling_strategy=order,
            learning_rate=recipe.learning_rate,
            lr_scheduler_type=recipe.schedule,
            warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay,
            adam_beta1=recipe.betas[0],
            adam_beta2=recipe.betas[1],
            max_grad_norm=recipe.clip,
            bf16=recipe.dtype == "bfloat16",
            use_cpu=not gpu,
            dataloader_pin_memory=gpu,
            report_to=[],
            save_strategy="no",
            logging_strategy="no",
            disable_tqdm=True,
        )
        model = copy.deepcopy(student.model).float().requires_grad_(True)
        loop = Trainer(model, arguments, DataCollatorForSeq2Seq(student.tokenizer), rows(student, examples))
        loop.remove_callback(PrinterCallback)
        loop.train()
    AcceleratorState._reset_state(reset_partial_state=True)  # a Trainer in bf16 leaves its precision to the process
    return tokens


def training_sides(student: LanguageModel, examples: Sequence[Example], epochs: int, recipe: Recipe) -> dict[str, Side]:
    """Whole epochs, so that all sides read the same tokens; those of prompts count, padding does not."""
    tokens = epochs * sum(len(row["input_ids"]) for row in rows(student, examples))
    assert recipe.steps * recipe.batch_size == epochs * len(examples)
    return {
        "our loop": partial(ours, student, examples, recipe, tokens),
        "Trainer": partial(trainer, student, examples, recipe, tokens, "random"),
        "Trainer, grouped by length": partial(trainer, student, examples, recipe, tokens, "group_by_length"),
    }
