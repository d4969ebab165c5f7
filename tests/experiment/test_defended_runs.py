"""What a run with defenses leaves beside the scores, and that a killed campaign of one that remembers goes on."""

import json

import pytest
from command import command, laboratory

from spiritsafe.experiment import harvest
from spiritsafe.store import transcript

LOGPROBS = ["interface=logprobs", "objective=topk_kl", "budget.checkpoints=[16]"]


@pytest.fixture(scope="module")
def marked(small, tmp_path_factory):
    runs = tmp_path_factory.mktemp("marked")
    options = ["compare=[kgw,proof_of_work]", "measure.wrong_keys=20", "measure.seeds=2", "budget.checkpoints=[16]"]
    overrides = [*small, *options, f"paths.runs={runs}"]
    assert command(*overrides) == 0
    return overrides, runs


def test_ownership_is_tested_on_every_suspect_and_once(marked):
    overrides, runs = marked
    audits = {path: path.stat().st_mtime_ns for path in (runs / "store" / "audit").glob("*/manifest.json")}
    assert len(audits) == 2 + 2 + 1  # students of the mark, students of no mark, the bare one
    costs = json.loads(next(runs.glob("2*/costs.json")).read_text())
    row = costs["ownership"]["kgw"]
    assert row["seeds"] == 2
    assert row["null"] == 5 * 20 + 3
    assert 0 <= row["p"] <= 1
    assert costs["serving"]["kgw"]["forwards"] == 0
    assert costs["serving"]["proof_of_work"]["work"] >= 0.1
    assert command(*overrides) == 0
    assert {path: path.stat().st_mtime_ns for path in audits} == audits


def test_a_defense_of_what_is_shown_needs_an_interface_that_shows(finished, capsys):
    assert command(*finished.overrides, "compare=[topk_logprobs]") == 2
    message = capsys.readouterr().err
    assert "this interface shows none: add interface=logprobs" in message


@pytest.mark.parametrize("defense", ["modelguard_s", "lads", "token_bucket"])
def test_a_killed_campaign_of_a_defense_that_remembers_goes_on(small, tmp_path, monkeypatch, defense):
    def shown(name, killed):
        lab = laboratory(*small, *LOGPROBS, f"compare=[{defense}]", f"paths.runs={tmp_path / name}")
        if killed:
            serve, calls = harvest._serve, []

            def stumbling(*options):
                calls.append(options)
                if len(calls) == 3:
                    raise KeyboardInterrupt
                return serve(*options)

            with monkeypatch.context() as patched:
                patched.setattr(harvest, "_serve", stumbling)
                with pytest.raises(KeyboardInterrupt):
                    lab.harvested(defense)
            assert len(list((tmp_path / name).rglob("shard-*.parquet"))) == 2
            lab = laboratory(*small, *LOGPROBS, f"compare=[{defense}]", f"paths.runs={tmp_path / name}")
        folder = lab.harvested(defense).folder
        assert not list(folder.glob("state-*"))
        return transcript.read(folder / "transcript.parquet")

    assert shown("killed", True) == shown("whole", False)
