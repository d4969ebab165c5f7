import json
from collections.abc import Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from defenses.primitives.directional import DirectionalScore, norm
from scripts import bench, bench_demo, bench_real_size
from scripts.bench_real_size import SHARED, conversations, random_model, real_size, serving_ideal
from scripts.bench_rounds import compare
from scripts.bench_serving import TwoPasses, generate, load, perturbed, sampler
from scripts.bench_training import training_sides
from scripts.build_reference import teacher_lessons
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message, Request, Sampling
from spiritsafe.models import LanguageModel
from student.training import Recipe
from teacher.sampler import Sampler

TINY = {
    **SHARED, "vocab_size": 512, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> LanguageModel:
    tiny = random_model(TINY, "cpu")
    tiny.model.float()
    with torch.no_grad():
        for parameter in tiny.model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(20)  # so that its text varies
    return tiny


def test_every_round_runs_the_sides_in_turn_and_the_first_is_not_counted() -> None:
    ran: list[str] = []

    def side(name: str, tokens: int) -> int:
        ran.append(name)
        return tokens

    sides = {name: partial(side, name, tokens) for name, tokens in (("ours", 60), ("theirs", 20), ("third", 10))}
    found = compare("title", sides, 3, 2.0)
    assert ran == ["ours", "theirs", "third"] * 4
    assert set(found["ratios"]) == {"theirs", "third"}
    rates = {name: [run["tokens"] / run["seconds"] for run in runs] for name, runs in found["runs"].items()}
    by_round = sorted(a / b for a, b in zip(rates["ours"], rates["theirs"], strict=True))
    assert list(found["ratios"]["theirs"].values()) == [by_round[1], by_round[0], by_round[2]]


def test_both_servers_count_the_same_useful_tokens(model: LanguageModel) -> None:
    requests = [
        Request(f"r{i}", (Message("user", "bread soap ink"[: 4 + i]),), Sampling(temperature=0.0, max_tokens=2 + 3 * i))
        for i in range(11)
    ]
    expected = sum(len(reply.token_ids) for reply in Sampler(model).respond(requests))
    assert sampler(model, requests, 4) == generate(model, requests, 4) == expected > 11


def test_the_processor_tilts_as_the_paper_says(model: LanguageModel) -> None:
    """Against each row alone, read from its beginning by each proxy."""
    weights = dict(model.model.named_parameters())
    direction = {name: torch.randn_like(weight) for name, weight in weights.items()}
    direction = {name: tensor / norm(direction) for name, tensor in direction.items()}
    score = DirectionalScore(model, direction, 1e-2)
    proxies = [perturbed(score, sign) for sign in (1, -1)]
    processor = TwoPasses(proxies, score.step, 3.0, pad=3)
    lengths, ids = [5, 2, 4], torch.randint(4, 512, (3, 8))
    for read in range(5, 9):
        seen = ids[:, :read].clone()
        for row, length in enumerate(lengths):
            seen[row, : 5 - length] = 3
        scores = torch.randn(3, 512)
        tilted = processor(seen, scores)
        for row, length in enumerate(lengths):
            plus, minus = (proxy(seen[row : row + 1, 5 - length :]).logits[0, -1].log_softmax(-1) for proxy in proxies)
            assert torch.allclose(tilted[row] - scores[row], 3.0 * (plus - minus) / 2e-2, atol=1e-2)
            assert (plus - minus).abs().max() > 1e-4


def test_the_load_is_mixed() -> None:
    requests = load(40)
    kinds = [request.id.partition("-")[0] for request in requests]
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        ("tools", "programs", "recipes", "restricted"), 10
    )
    assert len({request.id for request in requests}) == 40
    assert kinds != sorted(kinds)


def test_all_trainers_read_whole_epochs(model: LanguageModel, capsys: pytest.CaptureFixture[str]) -> None:
    examples = list(islice(teacher_lessons(0), 64))
    sides = training_sides(model, examples, 2, Recipe(2, 1e-3))
    lengths = [
        len(model.prompt_ids(row.messages, row.prefill)) + len(model.completion_ids(row.completion)) for row in examples
    ]
    assert [side() for side in sides.values()] == [2 * sum(lengths)] * 3
    with pytest.raises(AssertionError):
        training_sides(model, examples, 2, Recipe(3, 1e-3))


def test_real_size_runs_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_real_size, "PROMPTS", (2, 5))
    monkeypatch.setattr(bench_real_size, "LENGTHS", ((2, 4), (5, 8), (5, 8), (3, 3)))
    found = real_size(32, 1, count=64, device="cpu", teacher_shape=TINY, student_shape=TINY, side=64)
    for part in ("serving", "antidistillation", "training"):
        assert 0 < found[part]["roofline_share"] < 1
        assert found[part]["ratios"]
    json.dumps(found)


def test_ideal_serving_counts_weights_steps_and_caches(model: LanguageModel) -> None:
    _, requests = conversations(model, 4)
    n = model.model.num_parameters()
    made = [request.sampling.max_tokens for request in requests]
    prompts = [len(model.prompt_ids(request.messages)) for request in requests]
    cached = sum(prompt + i for prompt, m in zip(prompts, made, strict=True) for i in range(1, m + 1))
    moved = 2 * n * -(-sum(made) // 2) + cached * 2 * 2 * 2 * 8  # keys and values, 2 bytes, 2 layers, 1 head of 8
    assert serving_ideal(requests, model, [model], 2, {"flops": 1e30, "bandwidth": 1.0}) == moved
    slow = serving_ideal(requests, model, [model], 2, {"flops": 1.0, "bandwidth": 1e30})
    assert slow == 2 * n * (sum(made) + sum(prompts))


def test_the_demo_runs_thrice_in_one_store(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(bench_demo, "run_alone", lambda overrides: commands.append(list(overrides)))
    seconds = bench_demo.demo(["seed=3"], "measure.items=7")
    assert list(seconds) == ["cold", "warm", "evaluation changed"]
    assert commands[0] == commands[1] == commands[2][:-1]
    assert commands[2][-1] == "measure.items=7"
    assert not Path(commands[0][-1].removeprefix("paths.runs=")).exists()


def test_what_failed_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed:
        returncode, stdout, stderr = 2, "", "error: no such option"

    monkeypatch.setattr(bench_demo.subprocess, "run", lambda *_, **__: Failed)
    with pytest.raises(UserError, match="no such option"):
        bench_demo.demo([], "measure.items=7")


@pytest.mark.parametrize("arguments", [["--rows", "192"], ["--rows", "100"], ["--rounds", "0"], ["--requests", "3"]])
def test_sizes_that_cannot_be_measured(arguments: Sequence[str]) -> None:
    with pytest.raises(UserError, match=arguments[0]):
        bench.parse(list(arguments))


def test_results_are_written_and_no_gpu_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    out = tmp_path / "new" / "bench.json"
    bench.bench(bench.parse(["--only", "demo", "real-size", "--skip-demo", "--out", str(out)]))
    assert "no GPU" in capsys.readouterr().out
    written: dict[str, Any] = json.loads(out.read_text())
    assert written["hardware"]["torch"] == torch.__version__
    assert "demo" not in written
