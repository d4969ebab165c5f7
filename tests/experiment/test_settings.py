"""What a config is identified by."""

from spiritsafe.experiment.settings import identified


def test_a_file_is_known_by_its_bytes_and_not_by_its_place(tmp_path):
    config = {"task": {"mine": {"_target_": "tasks.Mine", "path": str(tmp_path / "a.csv"), "paths": ["a.csv"]}}}
    (tmp_path / "a.csv").write_text("prompt\nhello\n")
    (tmp_path / "b.csv").write_text("prompt\nhello\n")
    first = identified(config)
    config["task"]["mine"]["path"] = str(tmp_path / "b.csv")
    assert identified(config) == first
    (tmp_path / "b.csv").write_text("prompt\nbye\n")
    assert identified(config) != first
    assert first["task"]["mine"]["paths"] == ["a.csv"]
    config["task"]["mine"]["path"] = None
    assert identified(config)["task"]["mine"]["path"] is None
