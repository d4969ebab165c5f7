"""Run an experiment: `python -m scripts.run experiment=demo`, or any part of configs/ changed on the command line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, MissingMandatoryValue, OmegaConf
from rich.console import Console
from rich.text import Text

from scripts.names import check_names
from scripts.parts import PARTS
from scripts.sweep import do, is_job, listed, workers
from scripts.told import told
from spiritsafe.errors import UserError
from spiritsafe.experiment.check import check
from spiritsafe.experiment.forecast import forecast
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import published_ladder, rungs
from spiritsafe.experiment.publish import TERMINAL, collect, copy, first_figure, published
from spiritsafe.experiment.run import arms, audit, cores, run
from spiritsafe.experiment.settings import build
from spiritsafe.experiment.variants import published_variants, variants
from spiritsafe.store.store import Store
from spiritsafe.trackers.finished import Finished, Tracker, mirrored


def resolve(config: DictConfig) -> dict[str, Any]:
    """The config as plain data, with every stack of defenses that is compared under ``stacks``."""
    check_names()
    try:
        plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise UserError(f"an option has no value yet: {str(error).splitlines()[0]}; give it as name=value") from error
    asked = plain["attack"]["source"].get("weights", {})
    plain["measure"]["targeted"] = [name for name in plain["measure"]["targeted"] if asked.get(name, 1)]
    stacks: dict[str, Any] = {"none": {}}
    if chosen := plain.pop("defense", None):
        stacks["+".join(chosen)] = chosen
    for name in plain.pop("compare"):
        stacks.setdefault(name, _defense(name))
    for name, part in (part for stack in stacks.values() for part in stack.items()):
        if not isinstance(part, Mapping) or "_target_" not in part:
            raise UserError(
                f"defense {name!r} names no class: its config begins with its name, as in "
                "`mine: {_target_: my_package.Mine}`"
            )
    return {**plain, "stacks": at_losses(stacks, plain.pop("losses"))}


def at_losses(stacks: Mapping[str, Any], losses: Sequence[float]) -> dict[str, Any]:
    """A calibrated stack once for each utility loss, as ``name@-5`` for a loss of 0.05; any other as it is."""
    found: dict[str, Any] = {}
    for name, stack in stacks.items():
        calibrated = [part for part, options in stack.items() if _is_calibrated(options)]
        if not calibrated:
            found[name] = stack
        for loss in losses if calibrated else []:
            changed = {part: {**options, "utility_loss": loss} for part, options in stack.items() if part in calibrated}
            found[f"{name}@-{100 * loss:g}"] = {**stack, **changed}
        if calibrated and not losses:
            found[name] = stack
    return found


def _is_calibrated(options: Mapping[str, Any]) -> bool:
    return "utility_loss" in options and options.get("strength") is None


def _defense(stack: str) -> Any:
    """The config of a stack such as ``exchange_limit+answer_only``, under this run's other overrides."""
    job, names = HydraConfig.get(), stack.split("+")
    kept = [text for text in job.overrides.task if _concerns(text, names)]
    given = {name for name in names for text in kept if text.startswith(f"+defense.{name}._target_=")}
    wanted = f"defense=[{','.join(name for name in names if name not in given)}]"
    try:
        composed = hydra.compose(str(job.job.config_name), overrides=[*kept, wanted])
    except HydraException as error:
        known = GlobalHydra.instance().config_loader().get_group_options("defense")
        reason = str(error).splitlines()[0]
        raise UserError(f"cannot compare with {stack!r} ({reason}): stack some of {', '.join(known)}") from error
    found: Any = OmegaConf.to_container(composed.defense, resolve=True)
    return {name: found[name] for name in [*(name for name in names if name in found), *found]}  # in the stack's order


def _concerns(override: str, names: list[str]) -> bool:
    """Whether an override holds for a stack of these defenses: all do but the choice, and options, of others."""
    group, _, option = override.lstrip("+~").partition("=")[0].partition(".")
    return group != "defense" or option.partition(".")[0] in names


def experiment(config: DictConfig) -> None:
    from transformers.utils import logging

    logging.disable_progress_bar()  # many small models would draw many small bars over ours
    plain = resolve(config)
    trackers = [build(tracker) for tracker in plain["tracker"].values()]
    if "rungs" in plain["attack"]:
        if plain["variants"]:
            raise UserError("a ladder has no variants: run attack=ladder without variants, or one attack with them")
        several("attack", rungs(plain), published_ladder, config, trackers)
    elif plain["variants"]:
        several("variant", variants(plain), published_variants, config, trackers)
    else:
        lab, folder = Lab(plain, PARTS, Store(Path(config.paths.store))), Path(HydraConfig.get().runtime.output_dir)
        check(lab)
        measured({"": lab}, config, folder)
        told_of(lab, config, folder, config.title, trackers)


def several(
    what: str,
    configs: Mapping[str, Any],
    publish: Callable[..., Any],
    config: DictConfig,
    trackers: Sequence[Tracker],
) -> None:
    """Several experiments over one store, checked before any begins, and what they show together."""
    folder, store = Path(HydraConfig.get().runtime.output_dir), Store(Path(config.paths.store))
    labs = {name: Lab(each, PARTS, store) for name, each in configs.items()}
    for name, lab in labs.items():
        try:
            check(lab)
        except UserError as error:
            raise UserError(f"{what} {name}: {error}") from error
    measured(labs, config, folder / next(iter(labs)))
    for name, lab in labs.items():
        print(f"{what}: {name}")
        told_of(lab, config, folder / name, f"{config.title}: {name}", trackers)
    shown = publish(labs, {name: collect(lab, arms(lab.config)) for name, lab in labs.items()}, folder)
    Console(width=100).print(shown)
    print(f"All of them together: {folder}")


def measured(labs: Mapping[str, Lab], config: DictConfig, folder: Path) -> None:
    """Every attack on every stack, from its first exchange to its last student."""
    students = {name: arms(lab.config) for name, lab in labs.items()}
    leading = next(iter(labs.values()))

    def first() -> None:
        drawn = first_figure(leading, folder)
        print(f"a first figure, of the undefended teacher and one seed: {drawn}")

    share = workers(config.workers)
    expected = forecast([(lab, students[name]) for name, lab in labs.items()], share or cores())
    if expected:
        print(expected)
    awaited = expected and not is_job()  # nobody waits for a sweep's first figures
    run(labs, students, workers=share, on_first=first if awaited else lambda: None)
    audit(labs)


def told_of(lab: Lab, config: DictConfig, folder: Path, title: str, trackers: Sequence[Tracker]) -> None:
    """One attack's table and page, and its mirrors."""
    overrides = list(HydraConfig.get().overrides.task)
    command = " ".join(["spiritsafe", *overrides])
    report = published(lab, arms(lab.config), title, command)
    console = Console(width=100)
    console.print(Text.from_ansi((report.folder / TERMINAL).read_text(encoding="utf-8")))
    print(f"The page to read and to send: {copy(report, folder)}")
    for line in mirrored(trackers, Finished(folder, title, lab.config, overrides)):
        print(line)
    print(f"What to try next: {config.next}")


@hydra.main(version_base="1.3", config_path="../configs", config_name="run")
def command(config: DictConfig) -> None:
    if is_job():
        do(lambda: experiment(config))
    else:
        with told():
            experiment(config)


def main() -> None:
    with listed():
        command()


if __name__ == "__main__":
    main()
