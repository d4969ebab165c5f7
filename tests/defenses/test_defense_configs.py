from pathlib import Path

import pytest
from defense_fakes import tiny
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from spiritsafe.defense import Defense

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "defense").glob("*.yaml"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A proxy on disk, in place of the reference checkpoint."""
    path, model = tmp_path_factory.mktemp("proxy"), tiny()
    model.model.save_pretrained(path)
    model.tokenizer.save_pretrained(path)
    return path


def select(*names, overrides=()):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return compose(overrides=[f"+defense=[{','.join(names)}]", *overrides]).get("defense") or {}


@pytest.mark.parametrize("name", NAMES)
def test_every_config_gives_one_defense_of_its_name(name, folder):
    configs = select(name)
    assert list(configs) == ([] if name == "none" else [name])
    for config in configs.values():
        if config.get("proxy"):
            config.proxy.path = str(folder)
        defense = instantiate(config)
        assert isinstance(defense, Defense)
        assert type(defense).__module__ == f"defenses.{name}"


def test_every_defense_has_a_config():
    files = {path.stem for path in (CONFIGS.parent / "defenses").glob("*.py")}
    assert files - {"__init__"} == set(NAMES) - {"none"}


def test_a_stack_keeps_its_order_and_takes_overrides():
    overrides = ["defense.exchange_limit.exchanges=7"]
    assert list(select("exchange_limit", "answer_only")) == ["exchange_limit", "answer_only"]
    stack = select("answer_only", "topk_logprobs", "exchange_limit", overrides=overrides)
    assert list(stack) == ["answer_only", "topk_logprobs", "exchange_limit"]
    assert instantiate(stack.exchange_limit).exchanges == 7
