"""Run programs that a model wrote, each in a process of its own, and say how each ended.

Held on any Linux: seconds of processor and of the clock, memory, size of a file, open files, number of processes (in a
namespace), a fresh interpreter with the standard library alone, an environment that is empty but for a fixed hash seed,
an empty working directory that is gone afterwards, no input, and output that nobody reads. All processes are killed.
Held where the kernel lets a user make namespaces (most Linux systems; asked for each program): there is no network, not
even this machine; no other process can be seen as a process or signalled; no file outside the working directory can
be changed. Elsewhere an audit hook in the program's own interpreter refuses sockets, new processes and writing outside,
which the innocent do not get around and others can; a warning says so once.

Not held: a program reads every file that you can read, and one that means to can look up in its interpreter what makes
it count as passed. This contains accidents and careless programs. It is no boundary against a determined attacker: for
such code use a virtual machine.
"""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from spiritsafe.errors import UserError

RUNNER = Path(__file__).with_name("confined.py")
GRACE = 120  # seconds for an interpreter to start on a busy machine, on top of the program's own


class Ending(StrEnum):
    PASSED = "passed"  # reached its end
    FAILED = "failed"  # an exception, or an exit before its end
    TIMED_OUT = "timed out"
    CRASHED = "crashed"  # killed by a signal: a fault, or the system was out of memory


@dataclass(frozen=True)
class Limits:
    """Seconds of processor and of the clock, bytes of memory and of a file, processes with threads."""

    cpu: int = 4
    wall: float = 15.0
    memory: int = 2**30
    file: int = 2**24
    processes: int = 16


@lru_cache(maxsize=4096)
def run(sources: tuple[str, ...], limits: Limits = Limits(), hooked: bool = False) -> Ending:
    """Run the sources one after the other in one module, which is not ``__main__``. Known programs are not run again.

    ``hooked`` does without namespaces. Raises UserError where no program can be run; that is never a failed program.
    """
    if sys.platform != "linux":
        raise UserError("programs of a model are run on Linux only: leave humaneval and mbpp out of task=[...]")
    asked = json.dumps({"sources": sources, "limits": asdict(limits), "hooked": hooked})
    command = [sys.executable, "-P", "-s", "-S", str(RUNNER)]  # -I would ignore the hash seed, and -E is not needed
    environment = {"PYTHONHASHSEED": "0", "PYTHONUTF8": "1"}
    with TemporaryDirectory(prefix="program-") as folder:
        try:
            done = subprocess.run(
                command,
                input=asked.encode(),
                capture_output=True,
                timeout=limits.wall + GRACE,
                cwd=folder,
                env=environment,
                start_new_session=True,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _unable(error) from error
    if done.returncode:
        raise _unable(done.stderr.decode(errors="replace").strip().rpartition("\n")[2])
    said = json.loads(done.stdout)
    if said["confinement"] != "namespaces" and not hooked:
        _warn(said["confinement"])
    return Ending(said["ending"])


def run_all(programs: Sequence[tuple[str, ...]], limits: Limits = Limits(), workers: int | None = None) -> list[Ending]:
    """Run many, ``workers`` at a time (None: one a core)."""
    distinct = list(dict.fromkeys(programs))
    with ThreadPoolExecutor(workers or os.cpu_count()) as pool:
        endings = dict(zip(distinct, pool.map(lambda program: run(program, limits), distinct), strict=True))
    return [endings[program] for program in programs]


@cache
def _warn(confinement: str) -> None:
    logging.getLogger(__name__).warning(
        "programs of a model run without namespaces: a %s in their own interpreter keeps them from the network and "
        "from your files, which a program that means to can get around",
        confinement,
    )


def _unable(trouble: object) -> UserError:
    return UserError(
        f"programs of a model cannot be run on this machine ({trouble}): check that {sys.executable} starts here and "
        "that there are processes and memory left, or leave humaneval and mbpp out of task=[...]"
    )
