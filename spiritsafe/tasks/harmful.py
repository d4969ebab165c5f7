"""A set of harmful prompts that the user has. None is shipped here, and none is fetched.

``LAYOUTS`` knows the columns of published sets and where their authors offer them.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from spiritsafe.errors import UserError
from spiritsafe.measures.scorers import Scorer, StringMatch
from spiritsafe.tables import read_table
from spiritsafe.task import Kind
from spiritsafe.tasks.prompts import Prompts, Row


class Layout(NamedTuple):
    """Column names of a published set. ``context`` is a text that a prompt refers to, if it is not empty."""

    prompt: str
    category: str | None
    context: str | None
    source: str


LAYOUTS = {
    "strongreject": Layout(
        "forbidden_prompt", "category", None,
        "alexandrasouly/strongreject, strongreject_dataset/strongreject_dataset.csv"
    ),
    "harmbench": Layout(
        "Behavior", "SemanticCategory", "ContextString",
        "centerforaisafety/HarmBench, data/behavior_datasets/harmbench_behaviors_text_all.csv",
    ),
    "advbench": Layout("goal", None, None, "llm-attacks/llm-attacks, data/advbench/harmful_behaviors.csv"),
    "jailbreakbench": Layout("Goal", "Category", None, "hub set JailbreakBench/JBB-Behaviors, behaviors/harmful"),
}  # fmt: skip


@dataclass
class Harmful(Prompts):
    """``path`` is a csv, json, jsonl or parquet file. Its columns are those of ``layout``, or ``prompt``, ``category``
    (rows of one are one cluster) and ``context`` where these are given. ``kind: lookalike`` is for benign prompts that
    look harmful, such as JailbreakBench's benign half."""

    path: str
    layout: str | None = None
    prompt: str | None = None
    category: str | None = None
    context: str | None = None
    name: str = "harmful"
    kind: Kind = Kind.HARMFUL
    scorer: Scorer = field(default_factory=StringMatch)

    def __post_init__(self) -> None:
        if self.kind not in (Kind.HARMFUL, Kind.LOOKALIKE):
            raise UserError(
                f"task {self.name} is a set of harmful or lookalike prompts, not {self.kind!r}: set its kind"
            )
        self.kind = Kind(self.kind)
        self.rows  # noqa: B018 - a wrong file is told before hours are spent

    def read_rows(self) -> list[Row]:
        prompt, category, context = self._columns()
        wanted = [column for column in (prompt, category, context) if column]
        table = read_table(self.path, wanted, f"the path of task {self.name}")
        rows = []
        for index, row in enumerate(table.to_dict("records")):
            said = f"{row[context]}\n\n---\n\n{row[prompt]}" if context and row[context] else str(row[prompt])
            if said.strip():
                name = f"{self.name}-{index}"
                rows.append(Row(name, said, part=name, cluster=str(row[category]) if category else ""))
        return rows

    def _columns(self) -> tuple[str, str | None, str | None]:
        if self.layout is not None and self.layout not in LAYOUTS:
            raise UserError(
                f"task {self.name} knows no layout {self.layout!r}: choose one of {', '.join(LAYOUTS)}, or name the "
                "file's column with its option prompt"
            )
        known = LAYOUTS[self.layout] if self.layout else Layout("", None, None, "")
        prompt = self.prompt or known.prompt
        if not prompt:
            raise UserError(
                f"which column of {self.path!r} holds the prompts? Set prompt of task {self.name} to its name, or "
                f"layout to one of {', '.join(LAYOUTS)}"
            )
        return prompt, self.category or known.category, self.context or known.context
