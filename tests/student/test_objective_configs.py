from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from student.sft import SFT
from student.topk_kl import TopKKL

FOLDER = Path(__file__).parents[2] / "configs" / "objective"


@pytest.mark.parametrize(("name", "expected"), [("sft", SFT()), ("topk_kl", TopKKL())])
def test_config_builds_the_objective_with_its_defaults(name: str, expected: Any) -> None:
    assert instantiate(OmegaConf.load(FOLDER / f"{name}.yaml")) == expected
