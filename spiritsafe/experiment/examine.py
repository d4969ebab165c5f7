"""Stage three: one row per item of what a model, or a gateway, answers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from spiritsafe.attack import Prompt
from spiritsafe.defense import Respond
from spiritsafe.exchange import Outcome, Request, Sampling
from spiritsafe.experiment.episode import Episode, play
from spiritsafe.task import Split, Task

SCHEMA = pa.schema(
    [
        ("task", pa.string()),
        ("kind", pa.string()),
        ("item", pa.string()),
        ("cluster", pa.string()),
        ("strict", pa.bool_()),
        ("flexible", pa.bool_()),
        ("forced", pa.bool_()),
        ("extracted", pa.bool_()),
        ("behaviour", pa.string()),
        ("tokens", pa.int64()),
        ("truncated", pa.bool_()),
        ("replies", pa.string()),  # raw completions, JSON: scoring can be redone
    ]
)
FORCED = Sampling(temperature=0.0, max_tokens=8)


def examine(
    tasks: Sequence[Task],
    count: int,
    respond: Respond,
    force: Respond,
    sampling: Sampling,
    on_item: Callable[[int], None] = lambda count: None,
    *,
    split: Split = Split.TEST,
) -> list[dict[str, Any]]:
    """Play ``count`` items of each task. ``force`` is the clean model that is asked for the answer where none was
    given (answer forcing: an upper bound, not what a user reads)."""
    prompts = [Prompt(task, item) for task in tasks for item in task.items(split, count)]
    episodes = play(prompts, respond, sampling, on_item)
    for task in tasks:
        if hasattr(task, "read"):  # by a model, many at a time
            task.read([(episode.prompt.item, episode.replies) for episode in episodes if episode.prompt.task is task])
    forced = _force([episode for episode in episodes if not _score(episode).extracted], force)
    rows = []
    for episode in episodes:
        task, item, score = episode.prompt.task, episode.prompt.item, _score(episode)
        rows.append(
            {
                "task": task.name,
                "kind": task.kind.value,
                "item": item.id,
                "cluster": item.cluster,
                "strict": score.strict,
                "flexible": score.flexible,
                "forced": forced.get(episode.name, score.strict),
                "extracted": score.extracted,
                "behaviour": score.behaviour.value,
                "tokens": sum(reply.usage.completion_tokens for reply in episode.replies),
                "truncated": any(reply.finish == "length" for reply in episode.replies),
                "replies": json.dumps([reply.completion for reply in episode.replies], ensure_ascii=False),
            }
        )
    return rows


def _score(episode: Episode) -> Any:
    return episode.prompt.task.score(episode.prompt.item, episode.replies)


def _force(episodes: Sequence[Episode], respond: Respond) -> dict[str, bool]:
    """Whether the answer a clean model names after each unfinished reply is right."""
    asked = [episode for episode in episodes if episode.replies[-1].outcome is Outcome.ANSWERED]
    requests = []
    for episode in asked:
        last = episode.replies[-1]
        history = episode.before(len(episode.replies) - 1)
        requests.append(
            Request(f"{episode.name}!", history, FORCED, prefill=last.completion + episode.prompt.task.force)
        )
    found: dict[str, bool] = {}
    for episode, reply in zip(asked, respond(requests) if requests else (), strict=True):
        score = episode.prompt.task.score(episode.prompt.item, [*episode.replies[:-1], reply])
        found[episode.name] = score.flexible
    return found
