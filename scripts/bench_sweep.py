"""A grid of runs as one sweep over one store, beside the same runs alone, each in a process and a store of its own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from scripts.bench_demo import run_alone

TARGET = 0.4  # of the time of the runs alone
AXES = (
    "defense=[answer_only],[temperature],[summary]",
    "attack=targeted,reasoning_request",
    "seed=0,1,2,3",
)
SIZE = (
    "budget.checkpoints=[64,256]", "recipe.steps=50", "measure.items=30", "measure.seeds=1", "measure.resamples=1000",
    "calibration.items=30",
)  # fmt: skip


def sweep(axes: Sequence[str] = AXES, overrides: Sequence[str] = (), alone: int | None = None) -> dict[str, Any]:
    """Seconds of the sweep and of runs alone, half of them before it and half after it: a machine that slows down meets
    both sides alike.

    An axis is an override with its values, none of which has a comma. Of the grid only ``alone`` runs are done alone,
    evenly spread, and stand for the others; null does all.
    """
    named = [(name, values.split(",")) for name, _, values in (axis.partition("=") for axis in axes)]
    grid = list(product(*([f"{name}={value}" for value in values] for name, values in named)))
    size = [*SIZE, *overrides]
    count = min(alone or len(grid), len(grid))
    chosen = [grid[place * len(grid) // count] for place in range(count)]
    print(f"\n{len(grid)} runs as one sweep, and {count} of them alone, each from an empty store", flush=True)
    before = [_cold([*size, *run]) for run in chosen[: count // 2]]
    together = _cold(["-m", *size, *axes])
    each = before + [_cold([*size, *run]) for run in chosen[count // 2 :]]
    all_alone = sum(each) * len(grid) / count
    ratio = together / all_alone
    print(f"  the sweep {together:.1f} s, {len(grid)} runs alone {all_alone:.1f} s")
    print(f"  sweep / alone: {ratio:.2f}, at most {TARGET:g}", flush=True)
    return {"runs": len(grid), "size": size, "sweep": together, "alone": each, "ratio": ratio, "target": TARGET}


def _cold(overrides: Sequence[str]) -> float:
    """Seconds in an empty store."""
    with TemporaryDirectory() as folder:
        began = perf_counter()
        run_alone([*overrides, f"paths.runs={folder}"])
        seconds = perf_counter() - began
    print(f"  {'the sweep' if overrides[0] == '-m' else ' '.join(overrides[len(SIZE) :])}: {seconds:.1f} s", flush=True)
    return seconds
