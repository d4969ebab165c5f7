"""What a tracker is handed: the folder of a finished run, read as parameters, numbers by step, pictures and a page."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from spiritsafe.errors import UserError


@dataclass(frozen=True)
class Finished:
    """``config`` is the resolved config as plain data, ``overrides`` what was changed on the command line."""

    folder: Path
    title: str
    config: Mapping[str, Any]
    overrides: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Its folder among the runs: a job of a sweep has its sweep's."""
        runs = Path(self.config["paths"]["runs"]).absolute()
        return self.folder.relative_to(runs).as_posix() if self.folder.is_relative_to(runs) else self.folder.name

    @property
    def page(self) -> Path:
        return self.folder / "report.html"

    @property
    def figures(self) -> list[Path]:
        return sorted((self.folder / "figures").glob("*.png"))

    def numbers(self) -> Iterator[tuple[int, dict[str, float]]]:
        """The headline by step, in exchanges: ``CT/none``, its bounds ``CT_low/none`` and ``CT_high/none``, and more.
        What could not be computed is left out."""
        rows = json.loads((self.folder / "headline.json").read_text(encoding="utf-8"))
        for step in sorted({row["exchanges"] for row in rows}):
            mine = [row for row in rows if row["exchanges"] == step]
            yield step, {f"{name}/{row['defense']}": value for row in mine for name, value in _numbers(row)}

    def parameters(self) -> dict[str, str]:
        """The config, flat: ``budget.checkpoints`` is ``[64, 256]``."""
        return dict(_flat(self.config))


class Tracker(Protocol):
    """Built before a run begins, so that what it lacks is told then."""

    def mirror(self, run: Finished) -> str:
        """Returns where it is to be found, for a person."""
        ...


def installed(module: str, extra: str) -> None:
    """Raises where a tracker's package is not there."""
    if find_spec(module) is None:
        raise UserError(f"tracker={extra} needs a package that is not installed: pip install 'spiritsafe[{extra}]'")


def mirrored(trackers: Sequence[Tracker], run: Finished) -> list[str]:
    """Hand a run to every tracker; a line each. One that fails costs its line and nothing else."""
    told = []
    for tracker in trackers:
        name = type(tracker).__name__
        try:
            told.append(f"{name}: {tracker.mirror(run)}")
        except Exception as error:  # whatever it was, the results are on disk
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            told.append(f"{name} did not take the run ({reason}): the same command again does only this")
    return told


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, each in row.items():
        parts = {"": "value", "_low": "low", "_high": "high"}
        found = {end: each.get(part) for end, part in parts.items()} if isinstance(each, dict) else {"": each}
        for suffix, value in found.items():
            if isinstance(value, int | float) and name != "exchanges":
                yield name + suffix, float(value)


def _flat(config: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(config, Mapping) and config:
        for name, each in config.items():
            yield from _flat(each, f"{path}.{name}" if path else str(name))
    else:
        yield path, str(config)
