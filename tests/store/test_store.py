import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spiritsafe.errors import UserError
from spiritsafe.store.store import Stage, Store

# A harvest of four shards, merged at the end. What it should do on the way comes on the command line.
CHILD = """
import os, signal, sys, time
from pathlib import Path
from spiritsafe.exchange import Exchange, Message, Outcome, Reply, Request
from spiritsafe.store import transcript
from spiritsafe.store.store import Store

root, log, die_at, gate = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4])

def moment(name):
    if name == die_at:
        os.kill(os.getpid(), signal.SIGKILL)

def ask(number):
    request = Request(f"r{number}", (Message("user", f"{number}?"),))
    return Exchange(request, Reply(Outcome.ANSWERED, "yes"), "a", number)

notes = {}
say = lambda message: print(message, flush=True)
with Store(root).building("harvest", "k", config={"q": 4}, inputs=["i"], notes=notes, waiting=say) as folder:
    if folder:
        with log.open("a") as file:
            print("built", file=file)
        (folder / "half.tmp").write_text("rubbish")
        have = len(transcript.read_shards(folder))
        notes["spend"] = 4
        for number in range(have, 4):
            moment(f"before {number}")
            transcript.write_shard(folder, [ask(number)])
            with log.open("a") as file:
                print("asked", number, file=file)
        while not gate.exists():
            time.sleep(0.01)
        transcript.merge(folder, folder / "transcript.parquet")
        moment("merged")
        (folder / "half.tmp").unlink()
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model" / "weights.bin").write_bytes(b"w" * 100)
        moment("end")
        if die_at == "manifest":
            import spiritsafe.store.store as store
            store.os.rename = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
"""


def start(root: Path, log: Path, die_at: str = "", gate: Path = Path("/")) -> subprocess.Popen[str]:
    """Start a harvest that goes on to merge its shards when there is a file ``gate``."""
    command = [sys.executable, "-c", CHILD, str(root), str(log), die_at, str(gate)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(child: subprocess.Popen[str], status: int = 0) -> str:
    output, errors = child.communicate(timeout=60)
    assert child.returncode == status, errors
    return output


def start_and_hold(root: Path, log: Path, gate: Path) -> subprocess.Popen[str]:
    """Start a harvest and return once it has the lock and all its shards."""
    child = start(root, log, gate=gate)
    while not (log.exists() and "asked 3" in log.read_text()):
        assert child.poll() is None, child.communicate()[1]
        time.sleep(0.01)
    return child


def contents(stage: Stage) -> dict[str, bytes]:
    files = {str(path.relative_to(stage.folder)): path for path in stage.folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in files.items() if name != "manifest.json"}


def fail_after_writing(folder: Path | None) -> None:
    assert folder is not None
    (folder / "shard").write_text("kept")
    raise ZeroDivisionError


def build(store: Store, key: str = "k", files: dict[str, bytes] | None = None) -> Stage:
    with store.building("distill", key, config={"lr": 0.1, "device": "cuda"}, inputs=["a"], notes={"n": 1}) as folder:
        assert folder is not None
        for name, content in (files or {"weights.bin": b"0123456789", "model/config.json": b"{}"}).items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(content)
    return store.stage("distill", key)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """What an uninterrupted process makes."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder / "store", folder / "log"))
    return Store(folder / "store").stage("harvest", "k")


@pytest.mark.parametrize("moment", ["before 2", "merged", "end", "manifest"])
def test_killed_process_is_finished_by_the_same_command(tmp_path: Path, whole: Stage, moment: str) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    stage = store.stage("harvest", "k")
    finish(start(store.root, log, moment), -signal.SIGKILL)
    assert not stage.complete
    assert not stage.folder.exists()
    assert store.partial("harvest", "k").is_dir()
    finish(start(store.root, log))
    assert stage.complete
    stage.verify()
    assert contents(stage) == contents(whole)
    assert stage.manifest.files == whole.manifest.files
    assert stage.manifest.notes == {"spend": 4}
    assert not store.partial("harvest", "k").exists()
    if moment == "before 2":  # what was asked before the kill was not asked again
        assert log.read_text().split("\n").count("asked 0") == 1


def test_a_complete_stage_is_not_built_again(tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    for _ in range(2):
        finish(start(store.root, log))
    assert log.read_text().count("built") == 1


def test_two_processes_build_once(tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    first = start_and_hold(store.root, log, tmp_path / "gate")
    second = start(store.root, log)
    assert second.stdout is not None
    assert "another process is making harvest/k" in second.stdout.readline()
    (tmp_path / "gate").touch()
    finish(first)
    finish(second)
    assert log.read_text().count("built") == 1
    assert store.stage("harvest", "k").complete


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    store, log = Store(tmp_path / "store"), tmp_path / "log"
    first = start_and_hold(store.root, log, tmp_path / "gate")
    second = start(store.root, log)
    assert second.stdout is not None
    assert "another process" in second.stdout.readline()
    first.kill()
    finish(first, -signal.SIGKILL)
    finish(second)
    assert store.stage("harvest", "k").complete


def test_manifest_says_what_was_made(tmp_path: Path) -> None:
    manifest = build(Store(tmp_path)).manifest
    assert (manifest.name, manifest.key, manifest.inputs) == ("distill", "k", ("a",))
    assert manifest.config == {"lr": 0.1}
    assert {name: file.bytes for name, file in manifest.files.items()} == {"weights.bin": 10, "model/config.json": 2}
    assert manifest.files["weights.bin"].sha256.startswith("84d89877f0d4041efb6bf91a16f0248f")
    assert {"python", "torch", "transformers", "spiritsafe"} <= manifest.versions.keys()
    assert manifest.notes == {"n": 1}
    assert manifest.created.endswith("+00:00")
    assert 0 <= manifest.seconds < 60


def test_a_stage_that_raises_leaves_its_work_and_nothing_visible(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(ZeroDivisionError), store.building("harvest", "k") as folder:
        fail_after_writing(folder)
    assert not store.stage("harvest", "k").complete
    with store.building("harvest", "k") as folder:
        assert folder is not None
        assert (folder / "shard").read_text() == "kept"
    assert store.stage("harvest", "k").complete


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda folder: (folder / "weights.bin").unlink(), "weights.bin is missing"),
        (lambda folder: (folder / "weights.bin").write_bytes(b"01234"), "weights.bin has 5 bytes, 10 were written"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json cannot be read"),
        (lambda folder: os.truncate(folder / "manifest.json", 100), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[]"), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff"), "manifest.json cannot be read"),
    ],
)
def test_a_damaged_stage_is_reported_and_never_reused(tmp_path: Path, harm, said: str) -> None:  # type: ignore[no-untyped-def]
    store = Store(tmp_path / "my store")
    stage = build(store)
    harm(stage.folder)
    before = sorted(tmp_path.rglob("*"))
    for touch in (lambda: stage.complete, stage.verify, lambda: store.building("distill", "k").__enter__()):
        with pytest.raises(UserError, match=said) as caught:
            touch()
        assert f"rm -r '{stage.folder}'" in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_copied_stage_is_not_taken_for_another(tmp_path: Path) -> None:
    store = Store(tmp_path)
    build(store, "k").folder.rename(store.stage("distill", "other").folder)
    with pytest.raises(UserError, match="is that of distill/k"):
        _ = store.stage("distill", "other").complete


def test_verify_reads_every_byte(tmp_path: Path) -> None:
    stage = build(Store(tmp_path))
    stage.verify()
    (stage.folder / "weights.bin").write_bytes(b"0123456780")
    assert stage.complete
    with pytest.raises(UserError, match=r"weights\.bin is not what was written"):
        stage.verify()


def test_verify_of_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no distill"):
        Store(tmp_path).stage("distill", "k").verify()


FULL = """
import os, resource, sys
from pathlib import Path
import pyarrow as pa
from spiritsafe.errors import UserError
from spiritsafe.store.rows import write_rows
from spiritsafe.store.store import Store

def parquet(folder):
    rows = [{"x": os.urandom(1000)} for _ in range(100)]
    write_rows(folder / "rows.parquet", rows, pa.schema([pa.field("x", pa.binary())]))

def plain(folder):
    (folder / "rows.txt").write_bytes(os.urandom(100_000))

resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with Store(Path(sys.argv[1])).building("harvest", "k") as folder:
        (folder / "shard").write_text("kept")
        globals()[sys.argv[2]](folder)
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", ["parquet", "plain"])
def test_no_space_left(tmp_path: Path, kind: str) -> None:
    store = Store(tmp_path)
    command = [sys.executable, "-c", FULL, str(store.root), kind]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    assert output.startswith("no space left to write")
    assert "run the same command again" in output
    assert not store.stage("harvest", "k").complete
    assert (store.partial("harvest", "k") / "shard").read_text() == "kept"
    assert not (store.partial("harvest", "k") / "rows.parquet").exists()


def test_no_space_left_for_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    store = Store(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match="no space left"):
            build(store)
    assert not store.stage("distill", "k").complete
    assert build(store).complete


def test_a_library_that_says_full_in_words(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no space left"), Store(tmp_path).building("distill", "k"):
        raise RuntimeError(f"Error while serializing: I/O error: {os.strerror(28)} (os error 28)")


def test_a_store_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="choose another store"):
        build(Store(tmp_path / "file"))


def test_notes_that_json_cannot_say(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with (
        pytest.raises(UserError, match=r"notes\.spend is a object"),
        store.building("x", "k", notes={"spend": object()}),
    ):
        pass
    assert not store.stage("x", "k").complete


def test_a_manifest_is_json(tmp_path: Path) -> None:
    assert json.loads((build(Store(tmp_path)).folder / "manifest.json").read_text())["key"] == "k"
