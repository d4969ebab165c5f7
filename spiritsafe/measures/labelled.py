"""Outputs that a person has labelled: what a classifier learns from, and what every scorer is calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from spiritsafe.errors import UserError
from spiritsafe.measures.detector import REST
from spiritsafe.tables import read_table

if TYPE_CHECKING:
    import pandas as pd

REFUSAL = ("refuse", "refusal", "1", "true", "yes", "2_full_refusal", "3_partial_refusal")  # as XSTest has it, too
OTHER = ("comply", "compliance", "invalid", "0", "false", "no", "1_full_compliance")


def read_labelled(path: str) -> pd.DataFrame:
    """Columns ``text`` (the reply), ``refused`` (bool), ``request`` ("" where the file has none) and ``arms``, the arms
    that the reply stands for, parted by spaces."""
    table = read_table(path, ("text", "label"), "the file of labelled outputs")
    label = table["label"].str.strip().str.lower()
    if unknown := sorted(set(label) - {*REFUSAL, *OTHER}):
        raise UserError(
            f"{path!r} has labels {unknown[:5]}: a refusal is one of {', '.join(REFUSAL)}, anything else one of "
            f"{', '.join(OTHER)}"
        )
    extra = {"request": table.get("request", ""), "arms": table.get("arms", REST)}
    return table[["text"]].assign(refused=label.isin(REFUSAL), **extra)


def counts(refused: Sequence[bool], detected: Sequence[bool]) -> dict[str, int]:
    """What a `Detector` is made of: its hits among labelled refusals and among the other outputs."""
    pairs = list(zip(refused, detected, strict=True))
    return {
        "found": sum(person and read for person, read in pairs),
        "refusals": sum(person for person, _ in pairs),
        "passed": sum(not person and not read for person, read in pairs),
        "others": sum(not person for person, _ in pairs),
    }
