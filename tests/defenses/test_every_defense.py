"""What must hold of every defense there is, on three architectures with tokenizers of their own."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from defense_fakes import FakePreparation
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from omegaconf import OmegaConf
from retrained_fakes import thinker

from defenses.primitives.calibrated import Calibrated
from spiritsafe.account import Account
from spiritsafe.defense import Needs, overrides
from spiritsafe.exchange import Message, Outcome, Request, Sampling
from spiritsafe.interface import Interface
from teacher.gateway import Call, Gateway
from teacher.ledger import Ledger

CONFIGS = Path(__file__).parents[2] / "configs"
NAMES = sorted(path.stem for path in (CONFIGS / "defense").glob("*.yaml") if path.stem != "none")
FAMILIES = ["llama", "qwen2", "gpt_neox"]
SMALL = {"traces": 8, "steps": 2, "batch": 4, "prompts": 64, "capacity": 4096}
TASKS = ["programs", "recipes", "arithmetic", "restricted"]
REFUSED = "i cannot help with that"


class Small(FakePreparation):
    """Its teacher reasons before it answers, and refuses what it is asked of a harmful task."""

    def traces(self, count, tasks=None):
        said = REFUSED if tasks == ["restricted"] else "<think> w1 w2 . w3 w4 . w5 w6 . </think> w7"
        return [replace(each, completion=said, token_ids=()) for each in super().traces(count, tasks)]


@pytest.fixture(scope="module", params=FAMILIES)
def models(request):
    return thinker(request.param, seed=1), thinker(request.param, seed=2)


def of(name):
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return OmegaConf.to_container(compose(overrides=[f"+defense=[{name}]"]).defense[name])


def built(name, models, **options):
    """A defense with its own config, shrunk to tiny models."""
    config = of(name)
    small = {key: value for key, value in SMALL.items() if config.get(key)}
    if "strength" in config and config["strength"] is None:
        small["strength"] = 1.5 if name == "temperature" else 0.5
    if config.get("proxy"):
        small["proxy"] = models[1]
    defense = get_class(config.pop("_target_"))(**{**config, **small, **options})
    words = [f"w{index}" for index in range(60)]
    traffic = [(task, " ".join(words[10 * place : 10 * place + 6])) for place, task in enumerate(TASKS)] * 32
    defense.check(models[0])
    defense.prepare(Small(models[0], accuracy=lambda defenses: 0.9, traffic=traffic))
    return defense


def served(models, *defenses, batch_size=4):
    offered = Interface(top_logprobs=5, prefill=True)
    accounts = {f"a{place}": Account(f"a{place}") for place in range(2)}
    gateway = Gateway(models[0], offered, defenses, Ledger(), accounts, seed=3, batch_size=batch_size, window=8)
    sampling = Sampling(temperature=0.8, max_tokens=10)
    asked = []
    for i in range(12):
        text = " ".join(f"w{(7 * i + j) % 36}" for j in range(2 + i % 4))
        request = Request(f"r{i}", (Message("user", text),), sampling, 1, 5, prefill="w3" if i % 4 == 0 else "")
        asked.append(Call(request, f"a{i % 2}", float(i)))
    return [exchange.reply for exchange in gateway.serve(asked)]


@pytest.mark.parametrize("name", NAMES)
def test_serves_every_architecture_whatever_the_batch(models, name):
    """Fresh defenses, for some remember what they served."""
    replies = served(models, built(name, models))
    assert {reply.outcome for reply in replies} <= {Outcome.ANSWERED, Outcome.REFUSED, Outcome.THROTTLED}
    again = served(models, built(name, models), batch_size=12)
    assert [(reply.outcome, reply.completion, reply.token_ids) for reply in replies] == [
        (reply.outcome, reply.completion, reply.token_ids) for reply in again
    ]
    for reply in replies:
        for values in reply.logprobs.values if reply.logprobs else ():
            shown = torch.tensor(values).exp()
            assert shown.isfinite().all()
            assert shown.sum() <= 1 + 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_without_strength_nothing_changes(models, name):
    if "strength" not in of(name):
        pytest.skip("its own tests say what it is without effect")
    kind = type(built(name, models))
    idle = kind.idle if issubclass(kind, Calibrated) else 0.0
    assert served(models, built(name, models, strength=idle)) == served(models)


@pytest.mark.parametrize("name", NAMES)
def test_what_changes_only_what_is_shown_says_that_something_must_be(name, models):
    defense = built(name, models)
    shows = overrides(defense, "disclose")
    assert shows == bool(defense.needs & Needs.LOGPROBS)
    if shows:
        plain, changed = served(models), served(models, defense)
        assert [reply.token_ids for reply in changed] == [reply.token_ids for reply in plain]


@pytest.mark.parametrize("name", NAMES)
def test_what_it_needs_and_what_it_costs(name, models):
    defense = built(name, models)
    followed = overrides(defense, "sample_logits") or overrides(defense, "disclose")
    if followed and getattr(defense, "proxy", None) is not None:
        assert defense.needs & Needs.PROXY
        assert defense.cost().forwards in (1, 2)
    elif followed:
        assert defense.cost().forwards == 0
    if hasattr(defense, "key") and isinstance(getattr(defense, "key", None), str):
        assert defense.needs & Needs.KEY
