from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class TinyWorld:
    """Folders of untrained models of the reference world; ``foreign`` has another number of output tokens."""

    teacher: Path
    student: Path
    proxy: Path
    foreign: Path


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory) -> TinyWorld:
    from scripts.build_reference import blank, tokenizer

    words, root = tokenizer(), tmp_path_factory.mktemp("models")
    for seed, (name, more) in enumerate({"teacher": 0, "student": 0, "proxy": 0, "foreign": 8}.items()):
        blank(16, 1, 2, len(words) + more, seed).save_pretrained(root / name)
        words.save_pretrained(root / name)
    return TinyWorld(*(root / name for name in ("teacher", "student", "proxy", "foreign")))
