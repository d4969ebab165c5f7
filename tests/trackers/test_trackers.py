"""Every tracker takes the same finished run, and what it kept is read back by its own reader."""

import importlib.util
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from spiritsafe.errors import UserError
from spiritsafe.experiment.settings import build
from spiritsafe.trackers import finished
from spiritsafe.trackers.finished import Finished, mirrored

NUMBERS = {"CT/none": [0.25, 0.5], "CT_low/none": [0.0, 0.25], "CT/kgw@-5": [0.125, 0.375], "kept/none": [7.0, 15.0]}


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed: pip install 'spiritsafe[{extra}]'"
    )


@pytest.fixture
def run(tmp_path: Path) -> Finished:
    """The folder of a job of a sweep."""
    folder = tmp_path / "runs" / "2026-11-01" / "3"
    (folder / "figures").mkdir(parents=True)
    rows = [
        {"defense": "none", "exchanges": 16 * 4**place, "kept": 7 + 8 * place, "notes": ["few rows"],
         "CT": {"value": 0.25 + 0.25 * place, "low": 0.25 * place, "high": None, "unit": "ratio"}, "AC": None}
        for place in (0, 1)
    ]  # fmt: skip
    rows += [
        {"defense": "kgw@-5", "exchanges": 16 * 4**place, "CT": {"value": 0.125 + 0.25 * place}} for place in (0, 1)
    ]
    (folder / "headline.json").write_text(json.dumps(rows))
    plt.imsave(folder / "figures" / "budget.png", np.zeros((4, 6, 3)))
    (folder / "report.html").write_text("<p>a page</p>")
    config = {"seed": 3, "budget": {"checkpoints": [16, 64]}, "stacks": {"kgw@-5": {"kgw": {"key": "k"}}}, "losses": {}}
    return Finished(folder, "How much leaks", {**config, "paths": {"runs": str(tmp_path / "runs")}}, ["seed=3"])


def test_a_run_is_read_as_numbers_by_step(run):
    assert run.name == "2026-11-01/3"
    assert list(run.numbers()) == [
        (step, {name: values[place] for name, values in NUMBERS.items()}) for place, step in enumerate((16, 64))
    ]
    assert run.parameters()["budget.checkpoints"] == "[16, 64]"
    assert run.parameters()["stacks.kgw@-5.kgw.key"] == "k"


@needs("tensorboard", "tensorboard")
def test_tensorboard(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracker = build({"_target_": "spiritsafe.trackers.tensorboard.TensorBoard"})
    for _ in range(2):  # the second takes the first's place
        (told,) = mirrored([tracker], run)
    assert told == f"TensorBoard: {run.folder / 'tensorboard'}"
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == set(NUMBERS)
    for name, values in NUMBERS.items():
        assert [(each.step, each.value) for each in events.Scalars(name)] == list(zip((16, 64), values, strict=True))
    (picture,) = events.Images("budget")
    assert (picture.height, picture.width) == (4, 6)
    texts = {name: events.Tensors(f"{name}/text_summary")[0].tensor_proto.string_val[0].decode() for name in
             ("config", "overrides", "page")}  # fmt: skip
    assert "checkpoints:" in texts["config"]
    assert (texts["overrides"], texts["page"]) == ("seed=3", str(run.page))


def synced(path: Path) -> Iterator[Any]:
    """The records of W&B's own log, in LevelDB's format: blocks of 32 KiB, pieces with checksum, length and kind."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        left = 2**15 - place % 2**15
        if left < 7:
            place += left
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            yield Record.FromString(whole)
            whole = b""


@needs("wandb", "wandb")
def test_wandb_offline(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_SILENT", "true")
    part = {"_target_": "spiritsafe.trackers.wandb.WandB", "mode": "offline", "folder": str(tmp_path)}
    (told,) = mirrored([build(part)], run)
    assert told.startswith("WandB: /"), told
    (kept,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    records = list(synced(kept))
    logged = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert [each["_step"] for each in logged] == [16, 64]
    assert [{name: each[name] for name in NUMBERS} for each in logged] == [of for _, of in run.numbers()]
    config = {item.key: json.loads(item.value_json) for record in records for item in record.run.config.update}
    assert config["budget"] == {"checkpoints": [16, 64]}
    assert config["overrides"] == ["seed=3"]
    assert any(record.request.HasField("log_artifact") or record.HasField("artifact") for record in records)
    assert list(kept.parent.rglob("*.png"))


@needs("sqlalchemy", "mlflow")
@needs("mlflow", "mlflow")
def test_mlflow_in_a_local_store(run, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    monkeypatch.chdir(tmp_path)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    (told,) = mirrored([build({"_target_": "spiritsafe.trackers.mlflow.MLflow", "uri": uri})], run)
    assert told.startswith("MLflow: run "), told
    client = MlflowClient(uri)
    (kept,) = client.search_runs([client.get_experiment_by_name("spiritsafe").experiment_id])
    assert (kept.info.run_name, kept.info.status) == ("2026-11-01/3", "FINISHED")
    assert kept.data.params["budget.checkpoints"] == "[16, 64]"
    assert kept.data.tags["overrides"] == "seed=3"
    for name, values in NUMBERS.items():
        found = [
            (each.step, each.value) for each in client.get_metric_history(kept.info.run_id, name.replace("@", "_"))
        ]
        assert found == list(zip((16, 64), values, strict=True))
    assert {each.path for each in client.list_artifacts(kept.info.run_id)} == {"figures", "report.html"}


@pytest.mark.parametrize(
    ("target", "module"),
    [("tensorboard.TensorBoard", "tensorboard"), ("wandb.WandB", "wandb"), ("mlflow.MLflow", "mlflow")],
)
def test_a_missing_package_is_told_when_the_tracker_is_built(target, module, monkeypatch):
    monkeypatch.setattr(finished, "find_spec", lambda name: None if name == module else pytest.fail(name))
    with pytest.raises(UserError, match=rf"pip install 'spiritsafe\[{module}\]'"):
        build({"_target_": f"spiritsafe.trackers.{target}"})


def test_a_tracker_that_fails_costs_one_line(run):
    class Broken:
        def mirror(self, run):
            raise ConnectionError("no route\nto the host")

    class Good:
        def mirror(self, run):
            return "kept"

    failed, kept = mirrored([Broken(), Good()], run)
    assert failed.startswith("Broken did not take the run (ConnectionError: no route to the host)")
    assert kept == "Good: kept"
