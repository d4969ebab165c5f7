"""Ownership: was a student trained on what a stack served? Tested on its own replies to test prompts it never saw."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from spiritsafe.attack import Example
from spiritsafe.defense import Defense, Verdict
from spiritsafe.models import LanguageModel
from spiritsafe.task import Split, Task


def audit(
    defense: Defense,
    teacher: LanguageModel,
    suspect: LanguageModel,
    tasks: Sequence[Task],
    count: int,
    items: Iterable[Mapping[str, Any]],
    keys: int,
) -> Verdict:
    """``items`` are the suspect's examined rows, ``count`` a task; the first reply of each conversation counts."""
    prompts = {(task.name, item.id): item.messages for task in tasks for item in task.items(Split.TEST, count)}
    completions = []
    for row in items:
        completion = json.loads(row["replies"])[0]
        ids = tuple(teacher.completion_ids(completion))
        completions.append(Example(prompts[row["task"], row["item"]], completion, token_ids=ids))
    return defense.audit(suspect, completions, keys)
