"""What a reference model measures, and the card that says so."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spiritsafe.attack import Example, Prompt
from spiritsafe.exchange import THINK, Request, Sampling
from spiritsafe.experiment.episode import play
from spiritsafe.measures.nll import nll
from spiritsafe.models import LanguageModel
from spiritsafe.task import Behaviour, Split
from spiritsafe.tasks.procedural import Procedural
from spiritsafe.tasks.recipes import Lookalike, Restricted
from teacher.sampler import Sampler

SAMPLING = Sampling(temperature=0.6, max_tokens=64)  # as configs/interface serves


def examined(model: LanguageModel, task: Procedural, count: int, prefill: str = "") -> dict[str, float]:
    """Shares of ``count`` held-out items: right as served, refused, neither."""
    sampler = Sampler(model)

    def respond(requests: Sequence[Request]) -> list[Any]:
        return sampler.respond([Request(r.id, r.messages, r.sampling, prefill=prefill) for r in requests])

    episodes = play([Prompt(task, item) for item in task.items(Split.TEST, count)], respond, SAMPLING)
    scores = [task.score(episode.prompt.item, episode.replies) for episode in episodes]
    return {
        "items": len(scores),
        "right": sum(score.strict for score in scores) / len(scores),
        "refused": sum(score.behaviour is Behaviour.REFUSE for score in scores) / len(scores),
        "invalid": sum(score.behaviour is Behaviour.INVALID for score in scores) / len(scores),
    }


def traces(model: LanguageModel, tasks: Sequence[Procedural], count: int) -> list[Example]:
    """The model's own completions of ``count`` held-out items a task, at temperature 1."""
    rows = []
    for task in tasks:
        prompts = [Prompt(task, item) for item in task.items(Split.TEST, count)]
        for episode in play(prompts, Sampler(model).respond, replace(SAMPLING, temperature=1.0)):
            for turn, reply in enumerate(episode.replies):
                rows.append(Example(episode.before(turn), reply.completion, token_ids=reply.token_ids))
    return rows


@torch.inference_mode()
def entropy(model: LanguageModel, rows: Sequence[Example]) -> float:
    """Mean entropy in nats of the next token, over the completion tokens of ``rows``, at temperature 1."""
    total, tokens = 0.0, 0
    for row in rows:
        prompt = model.prompt_ids(row.messages)
        ids = torch.tensor([prompt + list(row.token_ids)], device=model.device)
        logits: Tensor = model.model(input_ids=ids).logits[0, len(prompt) - 1 : -1].float()
        total += float(torch.distributions.Categorical(logits=logits).entropy().sum())
        tokens += len(row.token_ids)
    return total / tokens


def measure_teacher(model: LanguageModel, tasks: Sequence[type[Procedural]], count: int) -> dict[str, Any]:
    own = traces(model, [task() for task in tasks], 100)
    return {
        "hard": {task.name: examined(model, task(), count) for task in tasks},
        "easy": {task.name: examined(model, task(level="easy"), count) for task in tasks},
        "restricted": examined(model, Restricted(), count),
        "restricted, reasoning prefilled": examined(model, Restricted(), count, prefill=THINK),
        "lookalike": examined(model, Lookalike(), count),
        "entropy of its own traces (nats per token)": entropy(model, own),
    }


def measure_student(
    model: LanguageModel, tuned: LanguageModel, tasks: Sequence[type[Procedural]], own: Sequence[Example], count: int
) -> dict[str, Any]:
    """``tuned`` is the student after the 64 public demonstrations; ``own`` are the teacher's traces of hard items."""
    return {
        "hard, after format tuning": {task.name: examined(tuned, task(), count) for task in tasks},
        "easy, after format tuning": {task.name: examined(tuned, task(level="easy"), count) for task in tasks},
        "restricted": examined(model, Restricted(), count),
        "lookalike": examined(model, Lookalike(), count),
        "NLL of the teacher's traces of hard items (nats per token)": nll(model, own, end=True)[0],
    }


def write_card(folder: Path, title: str, about: str, model: LanguageModel, measured: Mapping[str, Any]) -> None:
    """README.md for people, measured.json for programs."""
    (folder / "measured.json").write_text(json.dumps(measured, indent=1) + "\n")
    lines = ["---", "license: apache-2.0", "library_name: transformers", "---", "", f"# {title}", "", about, ""]
    lines += [
        f"Llama, {model.model.num_parameters():,} parameters. Built by `python -m scripts.build_reference`.",
        "",
    ]
    lines += ["Measured on held-out items at temperature 0.6, by the same command:", ""]
    lines += ["| what | items | right as served | refused | invalid |", "|---|---|---|---|---|"]
    for name, value in measured.items():
        if isinstance(value, float):
            continue
        for task, row in ({"": value} if "items" in value else value).items():
            label = f"{name} {task}".strip()
            lines.append(
                f"| {label} | {row['items']} | {row['right']:.1%} | {row['refused']:.1%} | {row['invalid']:.1%} |"
            )
    lines += ["", *(f"{name}: {value:.3f}" for name, value in measured.items() if isinstance(value, float)), ""]
    lines += [
        "The world it knows is invented, and it is of no use outside it.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines))
