"""Results on disk by content key. What is visible is complete; what was killed goes on where it was."""

import fcntl
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.store import manifest
from spiritsafe.store.atomic import UNFINISHED, full_disk, sync
from spiritsafe.store.keys import NOT_SEMANTIC, canonical
from spiritsafe.store.manifest import Manifest


@dataclass(frozen=True)
class Stage:
    """The folder of one result."""

    name: str
    key: str
    folder: Path

    @property
    def complete(self) -> bool:
        """Whether the result is there. Raises where it is there and damaged: it is never reused in silence."""
        if not self.folder.exists():
            return False
        for name, file in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file():
                raise self._damaged(f"{name} is missing")
            if path.stat().st_size != file.bytes:
                raise self._damaged(f"{name} has {path.stat().st_size} bytes, {file.bytes} were written")
        return True

    @property
    def manifest(self) -> Manifest:
        try:
            found = Manifest.read(self.folder)
        except (OSError, TypeError, ValueError, AttributeError, KeyError) as error:
            raise self._damaged(f"{manifest.NAME} cannot be read") from error
        if (found.name, found.key) != (self.name, self.key):
            raise self._damaged(f"{manifest.NAME} is that of {found.name}/{found.key}")
        return found

    def verify(self) -> None:
        """Read every byte and compare it with what was written."""
        if not self.complete:
            raise UserError(f"there is no {self.name} in {self.folder}: run the command that makes it")
        for name, file in self.manifest.files.items():
            if manifest.sha256(self.folder / name) != file.sha256:
                raise self._damaged(f"{name} is not what was written")

    def _damaged(self, what: str) -> UserError:
        return UserError(
            f"a stored {self.name} is damaged: {what}\n"
            f"remove it and run the same command again: rm -r {shlex.quote(str(self.folder))}"
        )


@dataclass(frozen=True)
class Store:
    """A folder of results, shared by any number of processes on a file system with ``flock``.

    What two processes need at once one of them makes, and the other waits. The system holds the locks and frees those
    of a process that dies, however it does, so none is ever stale. Machines may share the folder where their file
    system carries ``flock`` between them: NFS from version 4, Lustre mounted with ``flock``, CephFS, GPFS.
    """

    root: Path

    def stage(self, name: str, key: str) -> Stage:
        return Stage(name, key, self.root / name / key)

    def partial(self, name: str, key: str) -> Path:
        """Where a result is while it is made; always the same, so a killed process finds what it had."""
        return self.root / name / f"{key}.partial"

    @contextmanager
    def building(
        self,
        name: str,
        key: str,
        *,
        config: Mapping[str, Any] | None = None,
        inputs: Sequence[str] = (),
        notes: Mapping[str, Any] | None = None,
        waiting: Callable[[str], None] = lambda message: None,
    ) -> Iterator[Path | None]:
        """The folder to write the result into, or None where it is there already (perhaps by another process).

        The folder holds what a killed process left of the same result, less files ending in ``.tmp``. It becomes the
        stage when the block ends well, and stays for the next try when it raises. ``notes`` are read when the block
        ends, so the stage may add to them; ``waiting`` hears of another process that is at it.
        """
        stage, partial, began = self.stage(name, key), self.partial(name, key), time.perf_counter()
        if stage.complete:
            yield None
            return
        with full_disk(partial), self.locked(name, key, waiting):
            if stage.complete:
                yield None
                return
            partial.mkdir(exist_ok=True)
            for rubbish in [partial / manifest.NAME, *partial.rglob(f"*{UNFINISHED}")]:
                rubbish.unlink(missing_ok=True)
            yield partial
            Manifest(
                name=name,
                key=key,
                inputs=tuple(inputs),
                config=canonical(config or {}, "config", NOT_SEMANTIC),
                files=manifest.settle(partial),
                versions=manifest.versions(),
                platform=platform.platform(),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=round(time.perf_counter() - began, 3),
                notes=canonical(notes or {}, "notes"),
            ).write(partial)
            os.rename(partial, stage.folder)
            sync(stage.folder.parent)

    @contextmanager
    def locked(self, name: str, key: str, waiting: Callable[[str], None] = lambda message: None) -> Iterator[None]:
        """Alone among all processes with this name and key, waiting for whoever is at it."""
        lock = self.root / ".locks" / f"{name}-{key}"
        try:
            (self.root / name).mkdir(parents=True, exist_ok=True)
            lock.parent.mkdir(exist_ok=True)
            file = lock.open("w")
        except OSError as error:
            raise UserError(f"cannot write to {self.root} ({error}): make room or choose another store") from error
        with file:  # closing it, as the system does for a killed process, releases the lock
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting(f"another process is making {name}/{key}: waiting to reuse it")
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
