"""What a reader must know before comparing a card with another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spiritsafe.benchmark.card import Flag, Point, Protocol
from spiritsafe.benchmark.protocol import Fixed
from spiritsafe.experiment.settings import targets
from spiritsafe.store.digest import OURS


def flags(
    points: Sequence[Point], config: Mapping[str, Any], protocol: Protocol, fixed: Fixed, versions: Mapping[str, str]
) -> dict[Flag, str]:
    """Every flag that a card of this config must carry, with the reason."""
    rungs = config["attack"]["rungs"]
    private = sorted({name for name in targets(config["attack"]) if name.partition(".")[0] not in OURS})
    found = {
        Flag.QUICK: f"{protocol.seeds} seeds, {len(protocol.budgets)} budgets, {protocol.items} items a task"
        if protocol.quick
        else "",
        Flag.PASSIVE_ONLY: ""
        if set(config["protocol"]["adaptive"]) & rungs.keys()
        else f"no attack among {', '.join(rungs)} adapts to a defense",
        Flag.UNCALIBRATED_UTILITY: "; ".join(filter(None, map(_uncalibrated, points))),
        Flag.SINGLE_SEED: "measured once" if protocol.seeds == 1 else "",
        Flag.PRIVATE_ATTACK: f"nobody else can run {', '.join(private)}" if private else "",
        Flag.CHANGED_PROTOCOL: _changed(fixed.changed),
        Flag.DIRTY_CODE: versions["commit"] if versions.get("commit", "").endswith("-dirty") else "",
    }
    return {flag: why for flag, why in found.items() if why}


def _uncalibrated(point: Point) -> str:
    """Honest users clearly pay, and more than the point that the strength was calibrated to, if it was."""
    allowed = 100 * (point.utility_point or 0.0)
    if point.UC.low is None or point.UC.low <= allowed:
        return ""
    paid = f"{point.stack} costs honest users {point.UC.value:.1f} points [{point.UC.low:.1f}, {point.UC.high:.1f}]"
    return f"{paid}, more than the {allowed:g} it was calibrated to" if point.utility_point else f"{paid}, uncalibrated"


def _changed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return f"{', '.join(names[:4])}{more}" if names else ""
