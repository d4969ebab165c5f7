"""One defense under a fixed protocol, and its card: `python -m scripts.benchmark defense=[answer_only]`."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from scripts.described import described
from scripts.parts import PARTS
from scripts.run import resolve
from scripts.sweep import do, is_job, listed, workers
from scripts.told import told
from spiritsafe.benchmark.assemble import assembled
from spiritsafe.benchmark.card import Described
from spiritsafe.benchmark.measure import measured
from spiritsafe.benchmark.protocol import Fixed, fixed
from spiritsafe.errors import UserError
from spiritsafe.experiment.keys import NONE
from spiritsafe.experiment.publish import CONTROLS
from spiritsafe.experiment.run import audit, run
from spiritsafe.experiment.settings import target
from spiritsafe.report.card.table import terminal
from spiritsafe.report.card.write import write_card
from spiritsafe.store.digest import OURS
from spiritsafe.store.store import Store


def benchmark(config: DictConfig) -> None:
    """Measure, write the card into the run's folder and among the cards, and show it."""
    from transformers.utils import logging

    logging.disable_progress_bar()  # many small models would draw many small bars over ours
    job, plain = HydraConfig.get(), resolve(config)
    if len(plain["stacks"]) < 2 or config.compare:
        raise UserError("a benchmark is of one defense, or one stack of them: defense=[NAME], without compare=")
    if "rungs" not in plain["attack"]:
        raise UserError("a defense is judged by the worst of several attacks: leave attack= to the protocol")
    about = _described(config, plain)
    share = workers(config.workers)
    found = measured(
        plain,
        PARTS,
        Store(Path(config.paths.store)),
        lambda labs, students: run(labs, students, workers=share),
        audit,
    )
    command = " ".join(["python -m scripts.benchmark", *job.overrides.task])
    card = assembled(found, plain, about, _fixed(plain), command)
    folder = Path(job.runtime.output_dir)
    page = write_card(card, folder)
    kept = Path(config.cards) / card.protocol.name / f"{about.id}.json"
    kept.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(folder / "card.json", kept)
    Console(width=100).print(terminal(card))
    print(f"The card to read and to send: {page}")
    print(f"Among the others: {kept}; python -m scripts.leaderboard --cards {config.cards} sets them side by side")


def _fixed(plain: Mapping[str, Any]) -> Fixed:
    job = HydraConfig.get()
    own = hydra.compose(str(job.job.config_name), overrides=[f"protocol={job.runtime.choices['protocol']}"])
    return fixed(plain, resolve(own))


def _described(config: DictConfig, plain: Mapping[str, Any]) -> Described:
    """Of a stack: the title of each part, the paper of the first that has one."""
    name = "+".join(config.defense)
    stack = next(parts for label, parts in plain["stacks"].items() if label != NONE)
    kinds = [target(part) for part in stack.values()]
    told = [described(Path(_file(kind))) for kind in kinds]
    papers = [each["paper"] for each in told if each["paper"] != "–"]
    return Described(
        id=name,
        title="; ".join(each["title"] for each in told),
        paper=papers[0].partition("]")[0].removeprefix("[") if papers else "",
        family=_family(kinds),
        config=stack,
        package=", ".join(dict.fromkeys(_package(kind.__module__.partition(".")[0]) for kind in kinds)),
        control=name in CONTROLS,
    )


def _file(kind: type) -> str:
    from inspect import getfile

    return getfile(kind)


# The hook that a family changes, in the order a reader looks for it.
FAMILIES = {
    "training": ("substitute",),
    "sampling": ("sample_logits", "randomness"),
    "probabilities": ("disclose",),
    "text": ("rewrite_reply", "rewrite_replies"),
    "requests": ("rewrite_request",),
    "access": ("admit", "observe"),
}


def _family(kinds: list[Any]) -> str:
    from spiritsafe.defense import overrides

    found = (name for name, hooks in FAMILIES.items() if any(overrides(kind, hook) for kind in kinds for hook in hooks))
    return next(found, "")


def _package(name: str) -> str:
    """The distribution that brings a module, with its version."""
    wanted = "spiritsafe" if name in OURS else next(iter(packages_distributions().get(name, [name])))
    try:
        return f"{wanted} {version(wanted)}"
    except PackageNotFoundError:
        return f"{wanted} (not installed)"


@hydra.main(version_base="1.3", config_path="../configs", config_name="benchmark")
def command(config: DictConfig) -> None:
    if is_job():
        do(lambda: benchmark(config))
    else:
        with told():
            benchmark(config)


def main() -> None:
    with listed():
        command()


if __name__ == "__main__":
    main()
