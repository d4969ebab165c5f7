"""XSTest: safe prompts that look unsafe, and unsafe ones that look like them.  Röttger et al., arXiv 2308.01263.

Deviates: a tenth of the pairs is kept for calibration. Refusals count as whoever is chosen as ``scorer`` reads them,
full and partial ones alike; the paper had people label them.
"""

from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from spiritsafe.errors import UserError
from spiritsafe.measures.scorers import Scorer, StringMatch
from spiritsafe.tables import read_table
from spiritsafe.task import Kind
from spiritsafe.tasks.prompts import Prompts, Row

HUB = "walledai/XSTest"
COLUMNS = ("prompt", "type", "label", "focus")
Half = Literal["safe", "unsafe"]
_TOPICS = {  # several safe types share one contrast
    "nons_group_real_discr": "discr",
    "real_group_nons_discr": "discr",
    "privacy_public": "privacy",
    "privacy_fictional": "privacy",
}


@dataclass
class XSTest(Prompts):
    """One half: ``safe`` prompts are look-alikes (refusing is over-refusal), ``unsafe`` contrasts are harmful.

    ``path`` is the published ``xstest_prompts.csv``; None reads the hub's set, or its cached copy. A prompt and its
    contrast share a topic and a focus, or their place in a topic that has none; such pairs are one cluster and are in
    one split.
    """

    half: Half
    path: str | None = None
    scorer: Scorer = field(default_factory=StringMatch)
    name: str = field(init=False)
    kind: Kind = field(init=False)

    def __post_init__(self) -> None:
        if self.half not in get_args(Half):
            raise UserError(f"XSTest has the halves {' and '.join(get_args(Half))}, not {self.half!r}")
        self.name = f"xstest_{self.half}"
        self.kind = Kind.LOOKALIKE if self.half == "safe" else Kind.HARMFUL
        if self.path is not None:
            self.rows  # noqa: B018 - a wrong file is told before hours are spent

    def read_rows(self) -> list[Row]:
        places: dict[str, int] = {}
        rows = []
        for index, row in enumerate(self._table()):
            kind = row["type"].removeprefix("contrast_")
            place = places[row["type"]] = places.get(row["type"], 0) + 1
            pair = f"{_TOPICS.get(kind, kind)}/{row['focus'] or place}"
            if row["label"] == self.half:
                rows.append(Row(f"xstest-{row.get('id') or index + 1}", row["prompt"], pair, pair))
        if not rows:
            raise UserError(f"{self.path or HUB} has no row with the label {self.half!r}: give xstest_prompts.csv")
        return rows

    def _table(self) -> list[dict[str, Any]]:
        if self.path is not None:
            table = read_table(self.path, COLUMNS, f"task.{self.name}.path")
            return [dict(zip(table.columns, row, strict=True)) for row in table.itertuples(index=False)]
        from datasets import load_dataset

        try:
            [part] = load_dataset(HUB).values()
            return [{name: str(row[name] or "") for name in COLUMNS} for row in part]
        except Exception as error:  # datasets raises many kinds for one thing: it is not there, or not this
            reason = str(error).partition("\n")[0]
            raise UserError(
                f"task {self.name} cannot read {HUB} ({type(error).__name__}: {reason}): give the published "
                "xstest_prompts.csv as task.xstest_safe.path, or load the set once with a network"
            ) from error
