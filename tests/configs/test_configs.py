"""Every file in configs/ composes with run.yaml, and what it names can be built."""

import json
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict

from scripts.parts import PARTS
from scripts.run import resolve
from spiritsafe.attack import Attack
from spiritsafe.defense import Defense
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import rungs
from spiritsafe.experiment.run import arms
from spiritsafe.experiment.settings import build, target
from spiritsafe.experiment.variants import variants
from spiritsafe.models import LanguageModel
from spiritsafe.objective import check_signals
from spiritsafe.store.store import Store
from spiritsafe.task import Split

CONFIGS = Path(__file__).parents[2] / "configs"
CAMPAIGN = {  # groups of another command: tests/campaign, tests/detectors, test_figure_configs, tests/benchmark
    "campaign", "population", "detector", "detection", "graph", "response", "adaptation", "sharing", "figure",
    "protocol",
}  # fmt: skip
FILES = sorted(
    path.relative_to(CONFIGS).with_suffix("").as_posix()
    for path in CONFIGS.glob("*/*.yaml")
    if path.parent.name not in CAMPAIGN
)
LISTS = ("task", "defense", "tracker")
HALVES = (("safe", ""), ("unsafe", "contrast_"))
ASKED_NOTHING = ("xstest", "harmful")  # tasks without a pool: an attacker needs others


def composed(*overrides: str) -> Any:
    """The config of the command, which it goes on to resolve."""
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("run", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return resolve(config)


def names(group: str) -> list[str]:
    return [file.partition("/")[2] for file in FILES if file.startswith(f"{group}/")]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Files in the formats of the tasks that bring none."""
    folder = tmp_path_factory.mktemp("data")
    row = json.dumps({"question": "How many are 2 and 2?", "answer": "2 + 2 = <<2+2=4>>4\n#### 4"})
    for part in ("train", "test"):
        (folder / f"{part}.jsonl").write_text(f"{row}\n" * 30)
    completion = {
        "task_id": "HumanEval/0",
        "prompt": "def one():\n",
        "entry_point": "one",
        "test": "def check(f): pass",
    }
    completion |= {"canonical_solution": "    return 1\n"}
    (folder / "HumanEval.jsonl").write_text(f"{json.dumps(completion)}\n" * 3)
    basic = {
        "prompt": "Give one.",
        "code": "def one(): return 1",
        "test_imports": [],
        "test_list": ["assert one() == 1"],
    }
    (folder / "sanitized-mbpp.json").write_text(json.dumps([basic | {"task_id": number} for number in range(2, 40)]))
    halves = "".join(f"{half} {i},{kind}homonyms,{half},{i}\n" for i in range(20) for half, kind in HALVES)
    (folder / "prompts.csv").write_text(f"prompt,type,label,focus\n{halves}")
    called = {"name": "one", "parameters": {"type": "dict", "properties": {}, "required": []}}
    asked = [{"id": str(n), "question": [[{"role": "user", "content": "Go."}]]} for n in range(40)]
    asked = [row | {"function": [called | {"name": f"go_{row['id']}"}]} for row in asked]
    answers = [{"id": row["id"], "ground_truth": [{row["function"][0]["name"]: {}}]} for row in asked]
    (folder / "possible_answer").mkdir()
    for place, rows in (("", asked), ("possible_answer", answers)):
        (folder / place / "BFCL_v4_simple_python.json").write_text("\n".join(map(json.dumps, rows)))
    story = "One day a fox met a hen and they went to the market to buy bread and a pot of jam for tea."
    (folder / "stories.txt").write_text("<|endoftext|>".join([story] * 40))
    return folder


@pytest.fixture(scope="module")
def given(data, tiny_world) -> dict[str, list[str]]:
    """What must be added to a file: models of its own for what is not built in a test, and data."""
    models = {f"teacher/{name}": [f"teacher.path={tiny_world.teacher}"] for name in names("teacher")}
    models |= {f"student/{name}": [f"student.path={tiny_world.student}"] for name in names("student")}
    for name in ("antidistillation", "permuted_noise"):
        models[f"defense/{name}"] = [f"defense.{name}.proxy.path={tiny_world.proxy}"]
    weights = "+attack.source.weights={programs: 0, recipes: 0, %s: 1}"
    return models | {
        "task/gsm8k": [f"task.gsm8k.path={data}", weights % "gsm8k"],
        "experiment/figure_full": [f"task.gsm8k.path={data}"],
        "task/bfcl": [f"task.bfcl.path={data}", weights % "bfcl_simple_python"],
        "task/humaneval": [f"task.humaneval.path={data}", weights % "humaneval"],
        "task/mbpp": [f"task.mbpp.path={data}", weights % "mbpp"],
        "task/xstest": [f"task.xstest_safe.path={data / 'prompts.csv'}"],
        "task/harmful": [f"task.harmful.path={data / 'prompts.csv'}", "task.harmful.prompt=prompt"],
        "task/stories": [f"task.stories.path={data / 'stories.txt'}", weights % "stories"],
    }


@pytest.mark.parametrize("file", FILES)
def test_every_file_composes_and_can_be_built(file, given, tiny_world, tmp_path):
    group, _, name = file.partition("/")
    paths = [f"paths.runs={tmp_path}", f"teacher.path={tiny_world.teacher}", f"student.path={tiny_world.student}"]
    chosen = f"world,{name}" if name in ASKED_NOTHING else name
    wanted = f"{group}=[{chosen}]" if group in LISTS else f"{group}={name}"
    config = composed(wanted, *paths, *given.get(file, ()))
    if "rungs" in config["attack"]:
        for rung in rungs(config).values():
            assert isinstance(Lab(rung, PARTS, Store(tmp_path)).attack(), Attack)
        return
    for variant in variants(config).values():
        varied = Lab(variant, PARTS, Store(tmp_path))
        assert isinstance(varied.attack(), Attack)
        assert varied.recipe.steps == variant["recipe"]["steps"]
        check_signals(build(variant["objective"]), varied.interface)
    lab = Lab(config, PARTS, Store(tmp_path))
    assert lab.budget.exchanges == config["budget"]["checkpoints"][-1]
    assert lab.interface.sampling.max_tokens == config["interface"]["sampling"]["max_tokens"]
    if group == "recipe":
        assert lab.recipe.steps == config["recipe"]["steps"]
        assert (lab.recipe.lora is not None) == (name == "lora")
        assert name != "lora" or lab.recipe.lora.rank == 128
    elif group in ("teacher", "student"):
        assert isinstance(build(config[group]), LanguageModel)
    elif group == "task":
        for task in lab.tasks:
            assert len(task.items(Split.TEST, 2)) == 2
    elif group == "defense":
        assert list(config["stacks"]) == (["none"] if name == "none" else ["none", name])
        assert all(isinstance(defense, Defense) for defense in build(config["stacks"][name]).values())
    elif group == "tracker":
        assert list(config["tracker"]) == [each for each in [name] if each != "none"]
        for part in config["tracker"].values():
            assert part.keys() - {"_target_"} == set(signature(target(part)).parameters)
    elif group == "objective":
        assert type(build(config["objective"])).__name__.lower() == name.replace("_", "")
    elif group == "attack" and name == "several_accounts":
        assert len(lab.attack().accounts.accounts) == 16


def test_no_file_is_forgotten():
    default = OmegaConf.load(CONFIGS / "run.yaml").defaults
    groups = {str(key) for entry in default if not isinstance(entry, str) for key in entry if "/" not in str(key)}
    assert {file.partition("/")[0] for file in FILES} == groups


def test_the_main_job_is_the_default_attack_on_the_default_world():
    config = composed()
    assert list(config["stacks"]) == ["none"]
    assert config["measure"]["targeted"] == ["programs", "recipes"]
    assert len(config["task"]) == 7
    assert isinstance(Lab(config, PARTS, Store(Path())).attack(), Attack)


def test_the_demo_compares_hidden_reasoning_and_antidistillation():
    config = composed("experiment=demo")
    assert {stack: list(defenses) for stack, defenses in config["stacks"].items()} == {
        "none": [],
        "answer_only": ["answer_only"],
        "antidistillation": ["antidistillation"],
    }
    assert config["budget"]["checkpoints"] == [64, 256, 1024, 4096]
    students = arms(config)
    assert len(students) == len(set(students)) == 1 + 3 + 3 * 4 * 3 + 3 * 4
    assert {arm.stack for arm in students if arm.name == "attacked"} == set(config["stacks"])


def test_a_stack_is_served_in_the_order_it_is_written():
    for written in ("exchange_limit,answer_only", "answer_only,exchange_limit"):
        chosen = composed(f"defense=[{written}]")["stacks"]
        compared = composed(f"compare=[{written.replace(',', '+')}]")["stacks"]
        assert chosen == compared
        assert list(chosen) == ["none", written.replace(",", "+")]
        assert list(chosen[written.replace(",", "+")]) == written.split(",")


def test_a_defense_of_ones_own_needs_no_fork():
    stacks = composed("+defense.mine._target_=spiritsafe.defense.Defense", "compare=[answer_only]")["stacks"]
    assert list(stacks) == ["none", "mine", "answer_only"]
    assert list(stacks["answer_only"]) == ["answer_only"]
    assert type(build(stacks["mine"])["mine"]) is Defense


def test_options_belong_to_the_stack_that_has_the_defense():
    chosen = ["defense=[exchange_limit]", "defense.exchange_limit.exchanges=5"]
    stacks = composed(*chosen, "compare=[answer_only,exchange_limit+answer_only]")["stacks"]
    assert list(stacks["answer_only"]) == ["answer_only"]
    assert stacks["exchange_limit+answer_only"]["exchange_limit"]["exchanges"] == 5


def test_a_task_of_weight_zero_is_not_targeted():
    config = composed("+attack.source.weights={programs: 0, arithmetic: 2}")
    assert config["measure"]["targeted"] == ["recipes", "arithmetic"]
