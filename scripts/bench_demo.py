"""The whole demo from the command line: cold, when nothing changed, and when only the evaluation did."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from tempfile import TemporaryDirectory

from spiritsafe.errors import UserError

TARGET = 10.0  # seconds, when nothing changed


def demo(overrides: Sequence[str], changed: str) -> dict[str, float]:
    """Seconds of each, in a store of their own. ``changed`` is the override that changes the evaluation."""
    print("\nthe demo as a user runs it, in a fresh store", flush=True)
    seconds = {}
    with TemporaryDirectory() as folder:
        base = ["experiment=demo", *overrides, f"paths.runs={folder}"]
        for name, more in (("cold", []), ("warm", []), ("evaluation changed", [changed])):
            print(f"  {name}{''.join(f', {text}' for text in more)} ...", end="", flush=True)
            started = time.perf_counter()
            run_alone([*base, *more])
            seconds[name] = time.perf_counter() - started
            aim = f", target {TARGET:g}" if name == "warm" else ""
            print(f" {seconds[name]:.1f} s{aim}", flush=True)
    return seconds


def run_alone(overrides: Sequence[str]) -> None:
    """The command in a process of its own, quietly. Raises where it fails."""
    done = subprocess.run([sys.executable, "-m", "scripts.run", *overrides], capture_output=True, text=True)
    if done.returncode:
        raise UserError(
            f"the run ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-2000:]}\n"
            f"run it alone to see more: python -m scripts.run {' '.join(overrides)}"
        )
