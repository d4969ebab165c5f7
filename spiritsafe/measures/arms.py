"""What every arm scored on every task, with Wilson intervals: the lines under the headline table."""

from typing import Any

import pandas as pd

from spiritsafe.measures.intervals import effective_items, wilson
from spiritsafe.measures.table import SCORES, checked

RATES = {
    **{score: score for score in SCORES if score != "extracted"},
    "extraction_failure": "failed",
    "invalid": "invalid",
    "refusal": "refuse",
}


def arms(items: pd.DataFrame) -> list[dict[str, Any]]:
    """One JSON-able row per arm (with its defense and checkpoint) and task.

    ``strict``, ``flexible``, ``forced``, ``extraction_failure``, ``invalid`` and ``refusal`` are rates in [0, 1] with
    their 95% Wilson ``low`` and ``high``. Items are averaged over seeds first; the interval's n is the number of items,
    reduced by the design effect of their clusters. It speaks of these seeds; the headline's bootstrap covers new ones.
    """
    table = checked(items)
    table["failed"] = ~table["extracted"].astype(bool)
    names = ["arm", "defense", "exchanges", "task", "kind"]
    seeds = table.groupby(names)["seed"].nunique().to_dict()
    columns = dict.fromkeys([*RATES.values(), "tokens"], "mean") | {"cluster": "first"}
    by_item = table.groupby([*names, "item"]).agg(columns)
    rows = []
    for keys, means in by_item.groupby(level=names):
        row: dict[str, Any] = dict(zip(names, keys, strict=True))
        row |= {"exchanges": int(row["exchanges"]), "items": len(means), "seeds": seeds[keys]}
        clusters = pd.factorize(means["cluster"])[0]
        for name, column in RATES.items():
            rate = float(means[column].mean())
            low, high = wilson(rate, effective_items(means[column], clusters))
            row[name] = {"value": rate, "low": low, "high": high, "unit": "rate"}
        rows.append(row | {"tokens": float(means["tokens"].mean())})
    return rows
