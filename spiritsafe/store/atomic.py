"""Files that appear whole or not at all, and a disk that may be full."""

import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spiritsafe.errors import UserError

UNFINISHED = ".tmp"  # what a killed process leaves under this suffix is rubbish

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A sibling to write to; it takes the place of ``path`` when the block ends well and goes away when it does not."""
    unfinished = path.with_name(path.name + UNFINISHED)
    try:
        with full_disk(path):
            yield unfinished
            sync(unfinished)
            os.replace(unfinished, path)
            sync(path.parent)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


@contextmanager
def full_disk(path: Path) -> Iterator[None]:
    """Turn a full disk, also one reported by a library in words (safetensors), into a message."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not _is_full(error):
            raise
        raise UserError(
            f"no space left to write {shlex.quote(str(path))} ({error}): free some and run the same command again; "
            "what is complete is kept"
        ) from error


def sync(path: Path) -> None:
    """Force a file or a folder's entries to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL
    return any(os.strerror(code) in str(error) for code in _FULL)
