import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import train_in_parallel


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]  # as accelerate does
    script = str(Path(train_in_parallel.__file__))
    subprocess.run([*launch, script, str(tmp_path)], check=True, env=environment, timeout=120)
    first, second = (json.loads((tmp_path / rank).read_text()) for rank in "01")
    alone = train_in_parallel.trained()
    assert first == second
    assert first["losses"] == pytest.approx(alone["losses"], abs=1e-5)
    assert first["weights"] == pytest.approx(alone["weights"], abs=1e-3)
