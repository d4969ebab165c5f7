"""What every checkpoint of a campaign was billed, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from spiritsafe.exchange import Outcome
from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.settings import prices_of
from spiritsafe.measures.prices import dollars


def spending(lab: Lab, stack: str, students: Sequence[Arm]) -> list[dict[str, Any]]:
    """One row a checkpoint that any of the experiment's ``students`` was trained at, as `headline` reads them.

    Of what the campaign ``sent``, ``answered`` exchanges; ``accounts`` that called, and of them those that were told
    they are ``banned``. ``kept`` are the training rows that were left, the fewest of any seed, and ``untrained`` the
    seeds that nothing was left for. Where training goes on spending, who was answered is told of the first seed.
    """
    prices = prices_of(lab.config["prices"])
    log = _log(lab.harvested(stack).folder / "transcript.parquet")
    rows = []
    for spent in lab.spend(stack, students):
        sent, point = spent["exchanges"], ("attacked", stack, spent["checkpoint"])
        mine = [arm for arm in students if (arm.name, arm.stack, arm.exchanges) == point]
        if not mine:
            continue
        told, kept = log[: lab.bought(mine[0])], [lab.kept(arm) for arm in mine]
        if lab.goes_on(mine[0]):
            told = told + _log(lab.learnt(mine[0]).folder / "scored.parquet")
        bill = {"sent": sent, **{name: spent[name] for name in ("prompt_tokens", "completion_tokens", "accounts")}}
        rows.append(
            {
                "defense": stack,
                "exchanges": spent["checkpoint"],
                **bill,
                "answered": sum(outcome == Outcome.ANSWERED.value for _, outcome in told),
                "banned": len({account for account, outcome in told if outcome == Outcome.BANNED.value}),
                "kept": min(kept),
                "untrained": kept.count(0),
                "dollars": dollars(bill, prices),
            }
        )
    return rows


def _log(path: Path) -> list[tuple[str, str]]:
    """Who called and how it ended, without the rest of a transcript."""
    table = pq.read_table(path, columns=["account", "outcome"])
    return list(zip(table["account"].to_pylist(), table["outcome"].to_pylist(), strict=True))
