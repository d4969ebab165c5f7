"""Rows that no experiment of this figure gives: the table of window detectors, and the cards of the benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from spiritsafe.benchmark.card import Number
from spiritsafe.benchmark.card import read as card_of
from spiritsafe.campaign.embedding import hashing
from spiritsafe.campaign.window_prompts import real
from spiritsafe.campaign.window_table import Trial, table
from spiritsafe.errors import UserError
from spiritsafe.measures.columns import Column
from spiritsafe.report.content import Row


def read(table: str, root: Path, options: Mapping[str, Any]) -> list[Row]:
    """``root`` is what relative paths of the options are meant from."""
    return detectors(root, **options) if table == "detectors" else cards(root, **options)


def detectors(root: Path, data: str, size: int = 128, splits: int = 10) -> list[Row]:
    """A row a detector and share of attackers' prompts; ``auc`` and ``tpr@<fpr>`` are columns."""
    if not (root / data).is_dir():
        raise UserError(f"there are no prompts in {root / data}: give a folder of them as given.data=FOLDER")
    found: dict[tuple[str, float], Row] = {}
    for cell in table(Trial(size).run(real(root / data), hashing, range(splits))):
        row = found.setdefault((cell.detector, cell.share), {"place": (cell.detector, cell.share)})
        row |= {"detector": cell.detector, "share": cell.share}
        row[cell.measure] = {"value": cell.value, "low": cell.low, "high": cell.high, "unit": "rate"}
    return list(found.values())


def cards(root: Path, folder: str) -> list[Row]:
    """A row a card and budget, at the card's headline point. Transfer is the worst case over the attack set; what the
    same attacks got undefended stands beside it, as ``CT_undefended`` and ``ST_undefended``."""
    paths = sorted((root / folder).glob("*.json"))
    if not paths:
        raise UserError(f"there are no cards in {folder}: make some by `python -m scripts.benchmark defense=NAME`")
    rows: list[Row] = []
    for card in map(card_of, paths):
        free = {each.exchanges: each for each in card.undefended.curve}
        control = " (control)" if card.defense.control else ""
        for each in card.headline.curve:
            beside = free.get(each.exchanges)
            rows.append(
                {
                    "place": (card.defense.id, each.exchanges),
                    "defense": card.defense.id,
                    "card": card.defense.id + control,
                    "exchanges": each.exchanges,
                    "seeds": card.protocol.seeds,
                    "CT": _column(each.CT),
                    "ST": _column(each.ST),
                    "UC": _column(card.headline.UC),
                    "CT_undefended": _column(beside.CT) if beside else None,
                    "ST_undefended": _column(beside.ST) if beside else None,
                }
            )
    return rows


def _column(number: Number | None) -> Column:
    return None if number is None else number.model_dump()
