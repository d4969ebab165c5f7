"""Everything a report shows, worked out once from the item table: the headline, the arms, and arms on one scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from spiritsafe.measures.arms import arms
from spiritsafe.measures.bootstrap import Bootstrap
from spiritsafe.measures.columns import minus, points
from spiritsafe.measures.detector import Detectors, detector_of
from spiritsafe.measures.table import Means
from spiritsafe.measures.transfer import BASE, LEDGER, headline
from spiritsafe.report.facts import Facts
from spiritsafe.task import Kind

Row = dict[str, Any]
PER_BUDGET = ("oracle", "self", "random")
REFERENCES = ("teacher", "bare", "format", *PER_BUDGET)
RESAMPLES = 2_000


@dataclass(frozen=True)
class Content:
    """``rows`` as `headline` gives them, ``arms`` one row an arm and task, ``parts`` the same with tasks pooled."""

    facts: Facts
    rows: list[Row]
    arms: list[Row]
    parts: list[Row]
    references: list[Row]
    changes: list[Row]

    @classmethod
    def of(cls, rows: list[Row], items: pd.DataFrame, facts: Facts) -> Content:
        there = references(items, facts.targeted, facts.detectors)
        return cls(facts, rows, arms(items), parts(items, facts.targeted), there, changes(items))

    @property
    def checkpoints(self) -> list[int]:
        return sorted({row["exchanges"] for row in self.rows})

    @property
    def last(self) -> list[Row]:
        """The row of every defense at its largest budget."""
        return list({row["defense"]: row for row in self.rows}.values())


def parts(items: pd.DataFrame, targeted: Sequence[str]) -> list[Row]:
    """Rows of `arms` over all items of a part: ``targeted``, ``off-target``, ``harmful`` and ``lookalike``."""
    task, kind = items["task"].astype(str), items["kind"].astype(str)
    aim = pd.Series(np.where(task.isin(list(targeted)), "targeted", "off-target"), items.index)
    cluster = items["cluster"].fillna("").astype(str)
    pooled = items.assign(
        task=kind.where(kind != Kind.CAPABILITY.value, aim),
        item=task + "/" + items["item"].astype(str),
        cluster=(task + "/" + cluster).where(cluster != "", ""),
    )
    return arms(pooled)


def references(items: pd.DataFrame, targeted: Sequence[str], detectors: Detectors | None = None) -> list[Row]:
    """Rows of `headline` for the arms that met no defense, as if each were an attacked student: where they stand on the
    same axes. ``defense`` holds the arm's name."""
    moved = items[items["arm"].isin(REFERENCES)]
    budget = moved["exchanges"].where(moved["arm"].isin(PER_BUDGET), 1)
    moved = moved.assign(defense=moved["arm"], exchanges=budget, arm="attacked")
    ends = items[items["arm"].isin(["teacher", "format"])]
    if moved.empty:
        return []
    spend = pd.DataFrame(columns=["defense", "exchanges", *LEDGER])
    known = detectors or {}
    mine = {f"attacked/{name}": its for name in set(moved["defense"]) if (its := detector_of(known, name))}
    return headline(pd.concat([ends, moved]), spend, targeted, resamples=RESAMPLES, detectors={**known, **mine})


def changes(items: pd.DataFrame) -> list[Row]:
    """What each attacked student gained on each capability task at its defense's largest budget: answer-forced accuracy
    over the format-only student, in points, paired by item."""
    attacked = items["arm"] == "attacked"
    largest = items[attacked].groupby("defense")["exchanges"].transform("max")
    last = items[attacked][items[attacked]["exchanges"] == largest]
    kept = pd.concat([items[items["arm"] == "format"], last])
    if kept.empty:
        return []
    means = Means(kept, Bootstrap(RESAMPLES))
    found = []
    for arm in sorted(means.arms - {BASE}):
        for task in means.tasks(Kind.CAPABILITY):
            change = points(minus(means.mean(arm, [task], "forced"), means.mean(BASE, [task], "forced")))
            if change is not None:
                found.append({"defense": arm.defense, "exchanges": arm.exchanges, "task": task, "change": change})
    return found
