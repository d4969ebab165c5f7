"""The real checkpoints and stories that tests are run on where they are there."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[3] / "shared"
TEACHER = SHARED / "weights/stories260k/stories260K.bin"
STUDENT = SHARED / "weights/llama2xs_281k/model.bin"
PIECES = SHARED / "weights/stories260k/tok512.bin"
STORIES = SHARED / "data/tinystories_sample/tinystories_sample.txt"

needs_checkpoints = pytest.mark.skipif(
    not all(file.is_file() for file in (TEACHER, STUDENT, PIECES, STORIES)),
    reason="the llama2.c checkpoints and stories do not lie in ../shared",
)
