"""A folder of benchmark cards as one static page: `python -m scripts.leaderboard [--cards FOLDER] [--out PAGE]`.

Every .json in the folder, at any depth, is taken for a card. One that is not is named, here and at the page's end, and
the command then ends with 1; the page holds all others.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from scripts.told import told
from spiritsafe.benchmark.card import Card, read
from spiritsafe.errors import UserError
from spiritsafe.report.leaderboard.page import page
from spiritsafe.report.write import write_text

CARDS = Path("leaderboard/cards")
OUT = Path("leaderboard/index.html")


def gathered(folder: Path) -> tuple[list[Card], list[str]]:
    """All cards under a folder, and what is wrong with the files that are none."""
    cards, wrong = [], []
    paths = sorted(folder.rglob("*.json"))
    if not paths:
        raise UserError(f"there are no cards under {folder}: name their folder with --cards, or make one with "
                        "python -m scripts.benchmark")  # fmt: skip
    for path in paths:
        try:
            cards.append(read(path))
        except UserError as error:
            wrong.append(str(error))
    return cards, wrong


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cards", type=Path, default=CARDS, help=f"folder of cards ({CARDS})")
    parser.add_argument("--out", type=Path, default=OUT, help=f"the page to write ({OUT})")
    options = parser.parse_args(arguments)
    with told():
        cards, wrong = gathered(options.cards)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_text(options.out, page(cards, wrong))
    for message in wrong:
        print(f"error: {message}", file=sys.stderr)
    print(f"{len(cards)} cards: {options.out}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
