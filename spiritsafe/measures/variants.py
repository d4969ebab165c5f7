"""Experiments beside one another: what was transferred in each, what became of refusals, and paired differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from spiritsafe.measures.bootstrap import Bootstrap, Draws
from spiritsafe.measures.columns import Column, minus, points, rate
from spiritsafe.measures.detector import Detectors
from spiritsafe.measures.intervals import effective_items, wilson
from spiritsafe.measures.table import Arm, Means, checked
from spiritsafe.measures.transfer import headline
from spiritsafe.task import Kind

TRANSFER = ("CT", "ST", "GAP")
BARE = Arm("bare")
KINDS = {"R_h": Kind.HARMFUL, "R_b": Kind.LOOKALIKE}


@dataclass(frozen=True)
class Variant:
    """``items``, ``spend`` and ``detectors`` as `headline` has them."""

    items: pd.DataFrame
    spend: pd.DataFrame
    targeted: Sequence[str]
    detectors: Detectors | None = None


def compared(variants: Mapping[str, Variant], *, resamples: int = 10_000, seed: int = 0) -> list[dict[str, Any]]:
    """One JSON-able row a variant, defense and checkpoint; columns as in `headline`, None where something is missing.

    * CT, ST, GAP: of `headline`, each on its variant's own scale.
    * R_h, R_b: refusal rates on harmful and look-alike prompts; ``_bare`` those of the student before any training. The
      interval is the wider of the bootstrap's, which does not see what never occurred, and Wilson's over items, which
      does not see seeds.
    * R_h_change, R_b_change: over the bare student, in points, paired by item.
    * A_difference, R_h_difference, R_b_difference: over the first variant, in points, paired by item and training
      seed; A is answer-forced accuracy on the targeted tasks. None where other items or seeds were examined.
    """
    means = {
        name: Means(variant.items, Bootstrap(resamples, seed), variant.detectors) for name, variant in variants.items()
    }
    first = next(iter(variants))
    rows: list[dict[str, Any]] = []
    for name, variant in variants.items():
        pairs = name != first and _examined(variant.items) == _examined(variants[first].items)
        table, bare = checked(variant.items), _draws(means[name], BARE, variant.targeted)
        tables = (variant.items, variant.spend, variant.targeted)
        for row in headline(*tables, resamples=resamples, seed=seed, detectors=variant.detectors):
            arm = Arm("attacked", row["defense"], row["exchanges"])
            mine = _draws(means[name], arm, variant.targeted)
            other = _draws(means[first], arm, variants[first].targeted) if pairs else dict.fromkeys(mine)
            rows.append(
                {
                    "variant": name,
                    **{key: row[key] for key in ("defense", "exchanges", "seeds", *TRANSFER)},
                    **{key: _rate(mine[key], table, arm, kind) for key, kind in KINDS.items()},
                    **{f"{key}_bare": _rate(bare[key], table, BARE, kind) for key, kind in KINDS.items()},
                    **{f"{key}_change": points(minus(mine[key], bare[key])) for key in KINDS},
                    **{f"{key}_difference": points(minus(mine[key], other[key])) for key in mine},
                }
            )
    return rows


def _draws(means: Means, arm: Arm, targeted: Sequence[str]) -> dict[str, Draws | None]:
    refusals = {key: means.refusal(arm, kind) for key, kind in KINDS.items()}
    return {"A": means.mean(arm, sorted(targeted), "forced"), **refusals}


def _examined(items: pd.DataFrame) -> set[tuple[Any, ...]]:
    """Draws of one bootstrap are the same where these are."""
    attacked = items[items["arm"] == "attacked"]
    return set(attacked[["task", "item", "seed"]].itertuples(index=False, name=None))


def _rate(draws: Draws | None, table: pd.DataFrame, arm: Arm, kind: Kind) -> Column:
    column = rate(draws)
    if column is None:
        return None
    mine = table[(table[["arm", "defense", "exchanges"]] == list(arm)).all(axis=1) & (table["kind"] == kind)]
    by_item = mine.groupby(["task", "item"]).agg({"refuse": "mean", "cluster": "first"})
    low, high = wilson(
        min(1.0, max(0.0, column["value"])), effective_items(by_item["refuse"], by_item["cluster"].to_numpy(str))
    )
    return {**column, "low": min(column["low"], low), "high": max(column["high"], high)}
