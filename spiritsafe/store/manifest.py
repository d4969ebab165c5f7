"""What a complete stage says about itself. It is written last, so its presence means complete."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import spiritsafe
from spiritsafe.store.atomic import replacing, sync

NAME = "manifest.json"


@dataclass(frozen=True)
class File:
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """``files`` by path relative to the folder; ``created`` in UTC; ``seconds`` of the process that finished it.

    ``config`` is what the key was made of, ``notes`` what the stage found (spend, calibration, revisions).
    """

    name: str
    key: str
    inputs: tuple[str, ...]
    config: Mapping[str, Any]
    files: Mapping[str, File]
    versions: Mapping[str, str]
    platform: str
    created: str
    seconds: float
    notes: Mapping[str, Any]

    def write(self, folder: Path) -> None:
        with replacing(folder / NAME) as path:
            path.write_text(json.dumps(asdict(self), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises OSError, TypeError, ValueError or AttributeError where the file is not a manifest."""
        content = json.loads((folder / NAME).read_text(encoding="utf-8"))
        files = {name: File(**file) for name, file in content.pop("files").items()}
        return cls(files=files, inputs=tuple(content.pop("inputs")), **content)


def settle(folder: Path) -> dict[str, File]:
    """Force all files of a folder to the disk and measure them."""
    files = {}
    for path in sorted(folder.rglob("*")):
        sync(path)
        if path.is_file():
            files[path.relative_to(folder).as_posix()] = File(path.stat().st_size, sha256(path))
    sync(folder)
    return files


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@cache
def versions() -> dict[str, str]:
    """Of what a result may depend on; ``commit`` is there only in a checkout and says whether it was edited."""
    found = {"python": platform.python_version(), "spiritsafe": spiritsafe.__version__}
    for library in ("torch", "transformers"):
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    checkout = Path(spiritsafe.__file__).parents[1]
    if (checkout / ".git").exists():
        describe = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        with suppress(OSError, subprocess.CalledProcessError):
            found["commit"] = subprocess.run(describe, capture_output=True, text=True, check=True).stdout.strip()
    return found
