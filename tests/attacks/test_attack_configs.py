from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from attacks.accounts import RoundRobin
from attacks.deduplicate import Deduplicate
from attacks.drop_refusals import DropRefusals
from attacks.plain import Plain
from spiritsafe.attack import Attack
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Recipes

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(("name", "accounts"), [("targeted", 1), ("several_accounts", 16)])
def test_attacks_compose_and_take_their_tasks_at_run_time(name, accounts):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        attack = instantiate(compose(overrides=[f"+attack={name}"]).attack)
    assert isinstance(attack, Attack)
    assert isinstance(attack.accounts, RoundRobin)
    assert isinstance(attack.elicitor, Plain)
    assert len(attack.accounts.accounts) == accounts
    assert list(attack.cleaners) == [DropRefusals(), Deduplicate()]
    prompts = attack.source(tasks=[Programs(), Recipes()], seed=0, size=40).propose(40)
    assert abs(sum(prompt.task.name == "programs" for prompt in prompts) - 20) <= 1
