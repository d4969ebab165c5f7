"""What a defender may look at before serving: its own teacher on the calibration split, and public traffic."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any

from spiritsafe.attack import Example, Prompt
from spiritsafe.defense import Defense
from spiritsafe.experiment.episode import play
from spiritsafe.experiment.parts import Parts
from spiritsafe.interface import Interface
from spiritsafe.models import LanguageModel
from spiritsafe.store.atomic import replacing
from spiritsafe.task import Kind, Split, Task


@dataclass
class Calibration:
    """A `Preparation`. Utilities once measured are kept in ``folder``, so a calibration is never done twice."""

    teacher: LanguageModel
    tasks: Sequence[Task]
    interface: Interface
    parts: Parts
    seed: int
    per_task: int
    folder: Path
    batch_size: int = 256

    def prompts(self) -> list[Prompt]:
        capable = [task for task in self.tasks if task.kind is Kind.CAPABILITY]
        return [
            Prompt(task, item) for task in capable for item in task.items(Split.CALIBRATION, self.per_task, self.seed)
        ]

    def traces(self, count: int) -> list[Example]:
        respond = self.parts.honest(self.teacher, self.interface, [], seed=self.seed, batch_size=self.batch_size)
        rows = []
        for episode in play(self.prompts(), respond, self.interface.sampling):
            for turn, reply in enumerate(episode.replies):
                rows.append(Example(episode.before(turn), reply.completion, token_ids=reply.token_ids))
        stride = max(1, len(rows) // count)
        return rows[::stride][:count]

    def utility(self, defenses: Sequence[Defense]) -> float:
        known_file = self.folder / "utilities.json"
        known: dict[str, float] = json.loads(known_file.read_text()) if known_file.exists() else {}
        name = json.dumps([_knobs(defense) for defense in defenses], sort_keys=True)
        if name not in known:
            respond = self.parts.honest(
                self.teacher, self.interface, defenses, seed=self.seed, batch_size=self.batch_size
            )
            episodes = play(self.prompts(), respond, self.interface.sampling)
            scores = [episode.prompt.task.score(episode.prompt.item, episode.replies) for episode in episodes]
            known[name] = sum(score.strict for score in scores) / len(scores)
            with replacing(known_file) as unfinished:
                unfinished.write_text(json.dumps(known, indent=1))
        return known[name]

    def benign(self, count: int) -> list[tuple[str, str]]:
        share = max(1, count // len(self.tasks))
        return [
            (task.name, item.messages[-1].content)
            for task in self.tasks
            if task.kind is not Kind.HARMFUL
            for item in task.items(Split.PUBLIC, share, self.seed)
        ]


def _knobs(defense: Defense) -> list[Any]:
    names = [field.name for field in fields(defense) if field.init] if is_dataclass(defense) else [*vars(defense)]
    values = {name: getattr(defense, name) for name in names}
    plain = {name: value for name, value in values.items() if isinstance(value, bool | int | float | str)}
    return [type(defense).__name__, plain]


def prepare(defenses: Sequence[Defense], calibration: Calibration) -> dict[str, Any]:
    """Prepare a stack in serving order; what each found, by class name."""
    for defense in defenses:
        defense.prepare(calibration)
    return {type(defense).__name__: defense.summary() for defense in defenses if defense.summary()}
