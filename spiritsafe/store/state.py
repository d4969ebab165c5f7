"""What defenses learned in a campaign and cannot rebuild from its transcript, kept beside its shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.store.atomic import replacing


def keep(folder: Path, defenses: Sequence[Defense], exchanges: int) -> None:
    """Write the state that holds after so many exchanges; call it before their shard is written."""
    tensors = {
        f"{place}/{name}": tensor.contiguous()
        for place, defense in enumerate(defenses)
        for name, tensor in defense.state().items()
    }
    if tensors:
        with replacing(_path(folder, exchanges)) as unfinished:
            save_file(tensors, unfinished)
        for older in _all(folder)[:-2]:  # a shard may not have been written after the last one
            older.unlink()


def restore(folder: Path, defenses: Sequence[Defense], exchanges: int) -> None:
    stateful = [place for place, defense in enumerate(defenses) if defense.state()]
    if not stateful:
        return
    path = _path(folder, exchanges)
    if not path.exists():
        raise UserError(
            f"the state of {type(defenses[stateful[0]]).__name__} is missing: remove {folder} and run again"
        )
    tensors = load_file(path)
    for place in stateful:
        mine = {name.partition("/")[2]: each for name, each in tensors.items() if name.startswith(f"{place}/")}
        defenses[place].restore(mine)


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("state-*.safetensors"))


def _path(folder: Path, exchanges: int) -> Path:
    return folder / f"state-{exchanges:09d}.safetensors"
