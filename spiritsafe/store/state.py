"""What defenses learned in a campaign and cannot rebuild from its transcript, kept beside its shards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.store.atomic import replacing


def keep(folder: Path, defenses: Sequence[Defense], exchanges: int) -> None:
    """Write the state that holds after so many exchanges; call it before their shard is written."""
    from safetensors.torch import save_file

    tensors = {
        f"{place}/{name}": tensor.contiguous()
        for place, defense in enumerate(defenses)
        for name, tensor in defense.state().items()
    }
    if tensors:
        with replacing(_path(folder, exchanges)) as unfinished:
            save_file(tensors, unfinished)
        for older in sorted(folder.glob("state-*.safetensors"))[:-2]:  # the last one's shard may never be written
            older.unlink()


def restore(folder: Path, defenses: Sequence[Defense], exchanges: int) -> None:
    from safetensors.torch import load_file

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


def clear(folder: Path) -> None:
    """A finished campaign needs none."""
    for path in folder.glob("state-*.safetensors"):
        path.unlink()


def _path(folder: Path, exchanges: int) -> Path:
    return folder / f"state-{exchanges:09d}.safetensors"
