"""The far side of `spiritsafe.tasks.sandbox`: run as a script of its own interpreter, with nothing but the standard
library, it shuts itself in, forks a child that runs the program, and says how that ended.

Reads {"sources": [...], "limits": {...}} and writes {"ending": ..., "confinement": ...} as JSON.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
import types
from typing import Any

NEWNS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
PDEATHSIG, KEEPCAPS, NO_NEW_PRIVS = 1, 8, 38  # of prctl
RDONLY, RECURSIVE, PRIVATE, MOUNT_SETATTR = 1, 0x8000, 1 << 18, 442
DAC_READ_SEARCH = 2
BEGUN = b"begun"
LONE_USER = 0x70000000  # plus a process id: a user that nobody is, so that its processes can be counted
REFUSED = (
    "socket.",
    "subprocess.",
    "ctypes.",
    "os.fork",
    "os.exec",
    "os.posix_spawn",
    "os.system",
    "os.kill",
    "shutil.",
)
CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod")

libc = ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def enter_namespaces(size: int) -> None:
    """Without network, other processes or files that can be changed, but a working directory of ``size`` bytes.

    A user enters a user namespace first. Root needs none, and becomes a user of its own that may still read all files,
    because the kernel does not hold root to a number of processes.
    """
    user, group, root = os.geteuid(), os.getegid(), os.geteuid() == 0
    _checked(libc.unshare(NEWNS | NEWIPC | NEWPID | NEWNET | (0 if root else NEWUSER)))
    if not root:
        for name, line in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
    frozen = (ctypes.c_uint64 * 4)(RDONLY, 0, PRIVATE, 0)
    _checked(libc.syscall(MOUNT_SETATTR, -1, b"/", RECURSIVE, ctypes.byref(frozen), ctypes.sizeof(frozen)))
    options = f"size={size},nr_inodes=1k,mode=1777".encode()
    _checked(libc.mount(b"tmpfs", os.getcwdb(), b"tmpfs", 0, options))
    os.chdir(os.getcwd())
    if root:
        _checked(libc.prctl(KEEPCAPS, 1, 0, 0, 0))
        lone = LONE_USER + os.getpid()
        os.setgroups([])
        os.setresgid(lone, lone, lone)
        os.setresuid(lone, lone, lone)
    kept = 1 << DAC_READ_SEARCH if root else 0
    header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)(kept, kept, 0, 0, 0, 0)
    _checked(libc.capset(ctypes.byref(header), ctypes.byref(sets)))


def refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """An audit hook: no sockets, no other processes, nothing changed outside the working directory."""
    paths = arguments[:2] if event in CHANGES else ()
    if event == "open" and isinstance(arguments[0], str | bytes):
        path, _, flags = arguments
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
        paths = (path,) if writes or os.fsdecode(path).startswith("/proc") else ()
    outside = any(isinstance(path, str | bytes) and not _inside(path) for path in paths)
    if event.startswith(REFUSED) or outside:
        raise PermissionError(f"{event} is not allowed here")


def _inside(path: str | bytes, here: str = os.getcwd()) -> bool:
    return os.path.realpath(os.fsdecode(path)).startswith(here + os.sep)


def confine(limits: dict[str, int]) -> None:
    """In the child: alone in its session, under the limits, with nothing to read from or write to."""
    _checked(libc.prctl(PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    _checked(libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0))
    os.setsid()
    for name, wanted in (
        (resource.RLIMIT_CPU, limits["cpu"]),
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_FSIZE, limits["file"]),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        allowed = resource.getrlimit(name)[1]
        most = wanted if allowed == resource.RLIM_INFINITY else min(wanted, allowed)
        resource.setrlimit(name, (most, most))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)


def run(sources: list[str], hooked: bool, report: int, word: bytes) -> None:
    """In the child: the sources one after the other in one module, then the word. Does not return."""
    try:
        module = types.ModuleType("program")
        sys.modules["program"] = module
        if hooked:
            sys.addaudithook(refuse)
        for place, source in enumerate(sources):
            exec(compile(source, f"<part {place}>", "exec", dont_inherit=True), module.__dict__)
        os.write(report, word)
    finally:
        os._exit(1)


def main() -> None:
    asked = json.load(sys.stdin)
    limits, confinement = asked["limits"], "namespaces"
    try:
        if asked["hooked"]:
            raise OSError("as asked")
        enter_namespaces(limits["file"])
    except (OSError, AttributeError) as error:
        confinement = f"hook ({error})"
    reading, writing = os.pipe2(os.O_NONBLOCK)
    word, late = os.urandom(16), []
    child = os.fork()
    if not child:
        confine(limits)
        os.write(writing, BEGUN)
        run(asked["sources"], confinement != "namespaces", writing, word)
    os.close(writing)

    def kill(*_: Any) -> None:
        late.append(True)
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, kill)
    signal.setitimer(signal.ITIMER_REAL, limits["wall"])
    _, status, used = os.wait4(child, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    said = os.read(reading, len(BEGUN + word))
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    if not said.startswith(BEGUN):
        raise RuntimeError("no program could be started")
    if said == BEGUN + word and not killed:
        ending = "passed"
    elif late or (killed == signal.SIGKILL and used.ru_utime + used.ru_stime > limits["cpu"] / 2):  # clocks differ
        ending = "timed out"
    else:
        ending = "crashed" if killed else "failed"
    json.dump({"ending": ending, "confinement": confinement}, sys.stdout)


if __name__ == "__main__":
    main()
