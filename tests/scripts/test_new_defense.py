"""A new defense is three files that work as they are; a bad name is told before anything is written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.new_defense import main

ROOT = Path(__file__).parents[2]


def test_class_config_and_test_are_written_and_the_test_passes(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main(["louder_words"])
    files = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")}
    folder = "louder_words"
    config = f"{folder}/configs/defense/louder_words.yaml"
    assert files == {f"{folder}/louder_words.py", config, f"{folder}/test_louder_words.py"}
    said = capsys.readouterr().out
    assert "spiritsafe --config-dir louder_words/configs compare=[louder_words]" in said
    assert "python -m scripts.benchmark --config-dir louder_words/configs defense=[louder_words]" in said
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder],
        env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert tested.returncode == 0, tested.stdout
    assert "5 passed" in tested.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a-b", "cannot name a defense"),
        ("Louder", "in lower case"),
        ("class", "cannot name a defense"),
        ("kgw", "there is a defense kgw already"),
        ("torch", "has a module torch already"),
        ("taken", "give another name, or --folder"),
    ],
)
def test_a_bad_name_is_told_and_nothing_is_written(name, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    with pytest.raises(SystemExit) as stopped:
        main([name])
    assert stopped.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith("error: ")
    assert said in message
    assert [path.name for path in tmp_path.rglob("*")] == ["taken"]
