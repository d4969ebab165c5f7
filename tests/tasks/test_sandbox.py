"""Programs that misbehave, with the namespaces that this machine allows and with the hook alone."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

from spiritsafe.errors import UserError
from spiritsafe.tasks import sandbox
from spiritsafe.tasks.sandbox import Ending, Limits, run, run_all

QUICK = Limits(cpu=1, wall=60)
PROBE = ["unshare", "--user", "--net", "--pid", "--mount", "--fork", "true"]
NAMESPACES = bool(shutil.which("unshare")) and subprocess.run(PROBE, capture_output=True, check=False).returncode == 0
needs_namespaces = pytest.mark.skipif(not NAMESPACES, reason="this kernel lets nobody make namespaces here")
both = pytest.mark.parametrize("hooked", [False, True], ids=["namespaces", "hook"])

REFUSED = """
import os, time
try:
    {attempt}
except BaseException as error:
    pass
else:
    raise SystemExit("it worked")
"""


@both
@pytest.mark.parametrize(
    ("sources", "ending"),
    [
        (("x = 1", "assert x == 1"), Ending.PASSED),
        (("from __future__ import annotations\nx: y = 1", "from __future__ import annotations"), Ending.PASSED),
        (("assert False",), Ending.FAILED),
        (("def f(:",), Ending.FAILED),
        (("x = '\ud800'\x00",), Ending.FAILED),
        (("import sys\nsys.exit(0)", "assert False"), Ending.FAILED),
        (("import os\nos._exit(0)", "assert False"), Ending.FAILED),
        (("raise BaseException",), Ending.FAILED),
        (("print('passed')\nimport os\nos._exit(0)",), Ending.FAILED),
        (("bytearray(2**40)",), Ending.FAILED),
        (("open('big', 'wb').write(bytes(2**25))",), Ending.FAILED),
        (("import os\nos.abort()",), Ending.CRASHED),
        (("open('own', 'w').write('x')\nimport os\nassert os.listdir() == ['own']",), Ending.PASSED),
        (("import sys\nassert sys.stdin.read() == '' and len(sys.path) < 4",), Ending.PASSED),
        (("import dataclasses, decimal, unittest, heapq, asyncio, typing",), Ending.PASSED),
    ],
)
def test_how_a_program_ends(sources, ending, hooked):
    assert run(sources, hooked=hooked) is ending


@both
@pytest.mark.parametrize("source", ["while True: pass", "while True: print('x' * 9999)"])
def test_an_endless_program_is_stopped(source, hooked):
    begun = time.monotonic()
    assert run((source,), QUICK, hooked) is Ending.TIMED_OUT
    assert time.monotonic() - begun < 30


@both
def test_memory_is_bounded(hooked):
    hog = "x = []\nwhile True: x.append(bytearray(2**20))"
    held = f"try:\n    {hog.splitlines()[0]}\n    {hog.splitlines()[1]}\nexcept MemoryError: assert len(x) < 128"
    small = Limits(memory=2**27)
    assert [run((source,), small, hooked) for source in (hog, held)] == [Ending.FAILED, Ending.PASSED]


@both
def test_a_sleeping_program_is_stopped(hooked):
    assert run(("import time\ntime.sleep(60)",), Limits(cpu=1, wall=0.3), hooked) is Ending.TIMED_OUT


def processes() -> int:
    return sum(name.isdigit() for name in os.listdir("/proc"))


@needs_namespaces
def test_processes_are_few_and_end_with_the_program():
    counted = """
import os, time
children = 0
try:
    while children < 100:
        if not os.fork():
            os.setsid()
            time.sleep(60)
        children += 1
except OSError:
    pass
assert 0 < children < 16, children
"""
    before = processes()
    assert run((counted,)) is Ending.PASSED
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
    assert run((bomb,), Limits(cpu=1, wall=1)) is Ending.TIMED_OUT
    time.sleep(0.2)
    assert processes() < before + 20


def test_the_hook_lets_no_process_be_made():
    assert run(("import os\nos.fork()",), hooked=True) is Ending.FAILED
    assert run(("import subprocess\nsubprocess.run(['true'])",), hooked=True) is Ending.FAILED


@both
def test_there_is_no_network(hooked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        attempt = f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"
        assert run((REFUSED.format(attempt=attempt),), hooked=hooked) is Ending.PASSED
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


@both
def test_the_environment_is_empty(monkeypatch, hooked):
    monkeypatch.setenv("SECRET_TOKEN", "abc")
    own = "import os\nassert set(os.environ) <= {'PYTHONHASHSEED', 'PYTHONUTF8', 'LC_CTYPE'}, os.environ"
    assert run((own,), hooked=hooked) is Ending.PASSED
    attempt = f"open('/proc/{os.getpid()}/environ', 'rb').read()"
    assert run((REFUSED.format(attempt=attempt),), hooked=hooked) is Ending.PASSED


@both
@pytest.mark.parametrize("attempt", ["open({!r}, 'w')", "os.remove({!r})", "os.rename({!r}, 'here')"])
def test_no_file_outside_is_changed(tmp_path, attempt, hooked):
    if not hooked and not NAMESPACES:
        pytest.skip("this kernel lets nobody make namespaces here")
    tmp_path.chmod(0o777)
    file = tmp_path / "mine"
    file.write_text("kept")
    file.chmod(0o666)
    assert run((REFUSED.format(attempt=attempt.format(str(file))),), hooked=hooked) is Ending.PASSED
    assert file.read_text() == "kept"


@needs_namespaces
def test_no_other_process_is_signalled():
    attempt = f"os.kill({os.getpid()}, 0)"
    assert run((REFUSED.format(attempt=attempt),)) is Ending.PASSED


def test_sets_have_one_order():
    shown = "order = list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'})\nassert order == %r"
    known = subprocess.run(
        [sys.executable, "-c", "print(list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}))"],
        env={"PYTHONHASHSEED": "0"},
        capture_output=True,
        check=True,
    )
    assert run((shown % eval(known.stdout),)) is Ending.PASSED


def test_many_run_side_by_side_and_keep_their_order():
    programs = [(f"import time\ntime.sleep(0.3)\nassert {number} % 3",) for number in range(12)]
    begun = time.monotonic()
    endings = run_all(programs, workers=6)
    assert endings == [Ending.PASSED if number % 3 else Ending.FAILED for number in range(12)]
    assert time.monotonic() - begun < 12 * 0.3


def test_a_known_program_is_not_run_again(monkeypatch):
    source = ("known = 1",)
    assert run(source) is Ending.PASSED
    monkeypatch.setattr(subprocess, "run", None)
    assert run(source) is Ending.PASSED


def test_what_is_no_fault_of_the_program_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match="cannot be run on this machine"):
        run(("nowhere = 1",))
    monkeypatch.undo()
    lacking = sandbox.RUNNER.read_text().replace("os.setsid()", "raise OSError('no sessions')")
    (tmp_path / "confined.py").write_text(lacking)
    monkeypatch.setattr(sandbox, "RUNNER", tmp_path / "confined.py")
    with pytest.raises(UserError, match=r"could be started.*leave humaneval and mbpp out"):
        run(("alone = 1",))
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    with pytest.raises(UserError, match="on Linux only"):
        run(("elsewhere = 1",))


def test_a_warning_says_what_is_missing(monkeypatch, tmp_path, caplog):
    lacking = sandbox.RUNNER.read_text().replace("_checked(libc.unshare(", "_checked(-1 or (")
    (tmp_path / "confined.py").write_text(lacking)
    monkeypatch.setattr(sandbox, "RUNNER", tmp_path / "confined.py")
    sandbox._warn.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert run(("import socket\nsocket.socket()",)) is Ending.FAILED
        assert run(("bare = 1",)) is Ending.PASSED
    assert caplog.text.count("run without namespaces") == 1
