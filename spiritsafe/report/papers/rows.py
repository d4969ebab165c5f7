"""The rows that a figure is drawn from: the headline's, with accuracies and ownership tests as columns beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spiritsafe.report.content import Row, parts
from spiritsafe.report.words import family

STUDENTS = {"A_student": "forced", "A_student_strict": "strict"}
SERVED = {"A_teacher": "forced", "A_teacher_strict": "strict"}
LEVELS = ("teacher", "bare", "format", "oracle", "self", "random")
TESTED = ("p", "p_clean", "tpr", "observations")
PARTS = {"targeted": ("A", "forced"), "harmful": ("R_h", "refusal"), "lookalike": ("R_b", "refusal")}


def rows_of(report: Path, targeted: Sequence[str], columns: Mapping[str, Any]) -> list[Row]:
    """Of a report's folder. ``columns`` are constants.

    Added are ``family`` and ``loss`` (points, 0 where nothing was calibrated); on the targeted tasks accuracies of the
    attacked student and of the teacher as served; of the arms that met no defense, at their largest budget, accuracies
    and refusal rates (A_<arm>_level, R_h_<arm>_level, R_b_<arm>_level); and at the largest budget of the campaign what
    an ownership test found (`TESTED`).
    """
    rows = json.loads((report / "headline.json").read_text(encoding="utf-8"))
    owned = json.loads((report / "costs.json").read_text(encoding="utf-8"))["ownership"]
    pooled = parts(pd.read_parquet(report / "items.parquet"), targeted)
    scores = [row for row in pooled if row["task"] == "targeted"]
    levels = {
        f"{PARTS[row['task']][0]}_{row['arm']}_level": row[PARTS[row["task"]][1]]
        for row in pooled
        if row["arm"] in LEVELS and row["task"] in PARTS
    }
    last = {row["defense"]: row["exchanges"] for row in rows}
    found = []
    for row in rows:
        name, budget = row["defense"], row["exchanges"]
        mine = {
            column: next((each[score] for each in scores if _is(each, arm, name, of)), None)
            for arm, of, known in (("attacked", budget, STUDENTS), ("defended", 0, SERVED))
            for column, score in known.items()
        }
        tested = {key: _plain(owned.get(name, {}).get(key)) for key in TESTED if last[name] == budget}
        calibrated = {"family": family(name), "loss": float(name.partition("@-")[2] or 0)}
        found.append({**row, **calibrated, **levels, **mine, **tested, **columns})
    return found


def _is(score: Row, arm: str, defense: str, exchanges: int) -> bool:
    return (score["arm"], score["defense"], score["exchanges"]) == (arm, defense, exchanges)


def _plain(value: Any) -> Any:
    return None if value is None else {"value": value, "low": None, "high": None, "unit": "p"}
