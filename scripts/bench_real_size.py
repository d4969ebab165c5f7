"""The same at real size on a GPU: random weights in the shapes of Qwen2.5-1.5B (teacher) and 0.5B (student), bf16.

Shares of the roofline are shares of what the same GPU reached just before on one large bf16 matrix product and one
large copy. Serving: its ideal time is the longer of (2 operations a weight and token read) and (weights once a step of
a full batch, plus the keys and values of every row at each of its tokens). Training: 6 operations a weight and token.
Attention's own products, softmaxes and the optimiser are left out, so shares are a little too low.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from random import Random
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM, GenerationConfig, Qwen2Config

from scripts.bench_defenses import defended
from scripts.bench_rounds import compare
from scripts.bench_serving import defended_sides, plain_sides
from scripts.bench_training import training_sides
from scripts.build_reference import tokenizer
from spiritsafe.attack import Example
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.models import LanguageModel
from student.training import Recipe

SHARED: dict[str, Any] = {
    "vocab_size": 151936, "num_key_value_heads": 2, "tie_word_embeddings": True, "max_position_embeddings": 4096,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}, "eos_token_id": 3, "pad_token_id": 1,
}  # fmt: skip
TEACHER = {
    **SHARED, "hidden_size": 1536, "intermediate_size": 8960, "num_hidden_layers": 28, "num_attention_heads": 12,
}  # fmt: skip
STUDENT = {
    **SHARED, "hidden_size": 896, "intermediate_size": 4864, "num_hidden_layers": 24, "num_attention_heads": 14,
}  # fmt: skip
PROMPTS = (64, 256)  # words
LENGTHS = ((16, 48), (192, 384), (192, 384), (12, 12))  # of completions: look-ups, programs, recipes, refusals


def real_size(
    batch: int,
    rounds: int,
    *,
    count: int = 512,
    device: str = "cuda",
    teacher_shape: dict[str, Any] = TEACHER,
    student_shape: dict[str, Any] = STUDENT,
    side: int = 8192,
) -> dict[str, Any]:
    """``count`` requests, then as many rows to train on: 64 times a power of 2. ``side`` is that of the matrices whose
    product and copy are the peak."""
    teacher, student = (random_model(shape, device) for shape in (teacher_shape, student_shape))
    peak = attainable(device, side)
    print(
        f"\nreal size on {device}, random weights, bfloat16: teacher {teacher.model.num_parameters() / 1e9:.2f} G, "
        f"student {student.model.num_parameters() / 1e9:.2f} G; the GPU reaches {peak['flops'] / 1e12:.0f} TFLOP/s and "
        f"{peak['bandwidth'] / 1e9:.0f} GB/s"
    )
    found: dict[str, Any] = {"peak": peak, "model": __doc__}
    examples, requests = conversations(teacher, count)
    served = f"{len(requests)} requests in batches of {batch}"
    found["serving"] = compare(f"real size: serving, {served}", plain_sides(teacher, requests, batch), rounds, 3.0)
    share(found["serving"], serving_ideal(requests, teacher, [teacher], batch, peak))
    sides = defended_sides(teacher, student, requests, batch, 1.0, examples[:64])
    found["antidistillation"] = compare(f"real size: antidistillation, {served}", sides, rounds, 2.0)
    ideal = serving_ideal(requests, teacher, [teacher, student, student], batch, peak)
    share(found["antidistillation"], ideal)
    found["defenses"] = defended(teacher, student, requests, batch, rounds, examples[:64])
    recipe = Recipe(len(examples) * 2 // 64, 1e-5, accumulation=4, dtype="bfloat16")
    sides = training_sides(student, examples, 2, recipe)
    found["training"] = compare(f"real size: training, {len(examples)} rows, 64 a step", sides, rounds, 2.0)
    tokens = found["training"]["runs"]["our loop"][0]["tokens"]
    share(found["training"], 6 * student.model.num_parameters() * tokens / peak["flops"])
    return found


def random_model(shape: dict[str, Any], device: str) -> LanguageModel:
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(Qwen2Config(**shape), dtype=torch.bfloat16, attn_implementation="sdpa")
    model.generation_config = GenerationConfig(eos_token_id=3, pad_token_id=1)
    words = tokenizer()
    words.model_max_length = shape["max_position_embeddings"]
    return LanguageModel(model.eval().requires_grad_(False), words, "random", "random")


def conversations(model: LanguageModel, count: int) -> tuple[list[Example], list[Request]]:
    """Random words. Random weights never end by themselves, so each request says how long its reply is."""
    rng = Random(0)
    words = sorted(set(model.tokenizer.get_vocab()) - set(model.tokenizer.get_added_vocab()))
    examples, requests = [], []
    for i in range(count):
        prompt = (Message("user", " ".join(rng.choices(words, k=rng.randint(*PROMPTS)))),)
        length = rng.randint(*LENGTHS[i % len(LENGTHS)])
        examples.append(Example(prompt, " ".join(rng.choices(words, k=length))))
        requests.append(Request(f"r{i}", prompt, Sampling(max_tokens=length)))
    order = rng.sample(range(count), count)
    return [examples[i] for i in order], [requests[i] for i in order]


def attainable(device: str, side: int) -> dict[str, float]:
    """Operations and bytes a second of one large bf16 matrix product and one large copy: the best of ten."""
    a, b, c = (torch.zeros(side, side, dtype=torch.bfloat16, device=device) for _ in range(3))

    def best(work: Any) -> float:
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            work()
            if a.is_cuda:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - started)
        return min(seconds)

    return {
        "flops": 2 * side**3 / best(lambda: torch.mm(a, b, out=c)),
        "bandwidth": 2 * c.numel() * c.element_size() / best(lambda: c.copy_(a)),
    }


def serving_ideal(
    requests: Sequence[Request],
    teacher: LanguageModel,
    models: Sequence[LanguageModel],
    batch: int,
    peak: dict[str, float],
) -> float:
    """The seconds in which ``models`` could have read all rows; see the top of the file."""
    made = [request.sampling.max_tokens for request in requests]
    prompts = [len(teacher.prompt_ids(request.messages)) for request in requests]
    looked_at = sum(n * prompt + n * (n + 1) // 2 for n, prompt in zip(made, prompts, strict=True))
    operations = bytes_moved = 0
    for model in models:
        config, weights = model.model.config, model.model.num_parameters()
        head = config.hidden_size // config.num_attention_heads
        operations += 2 * weights * (sum(made) + sum(prompts))
        bytes_moved += 2 * weights * math.ceil(sum(made) / batch)
        bytes_moved += looked_at * 2 * 2 * config.num_hidden_layers * config.num_key_value_heads * head
    return max(operations / peak["flops"], bytes_moved / peak["bandwidth"])


def share(found: dict[str, Any], ideal: float) -> None:
    """Add our side's share of the roofline and its peak memory."""
    runs = next(iter(found["runs"].values()))
    found["ideal_seconds"] = ideal
    found["roofline_share"] = ideal / median(run["seconds"] for run in runs)
    found["peak_memory"] = max(run.get("peak_memory", 0) for run in runs)
    print(f"  ours: {found['roofline_share']:.0%} of the roofline, at most {found['peak_memory'] / 2**30:.1f} GiB")
