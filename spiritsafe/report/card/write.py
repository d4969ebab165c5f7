"""A card on disk: what a program reads and what a person opens."""

from __future__ import annotations

from pathlib import Path

from spiritsafe.benchmark import card as schema
from spiritsafe.benchmark.card import Card
from spiritsafe.report.card.page import page
from spiritsafe.report.write import write_text

PAGE = "card.html"


def write_card(card: Card, folder: Path) -> Path:
    """Write ``card.json`` and ``card.html`` into ``folder``, the page last; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    schema.write(card, folder / "card.json")
    write_card_page(card, folder / PAGE)
    return folder / PAGE


def write_card_page(card: Card, path: Path) -> None:
    write_text(path, page(card))
