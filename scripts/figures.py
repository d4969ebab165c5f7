"""The papers' figures beside ours: `python -m scripts.figures figure=reasoning_withheld`, or figure=all.

Any option of `spiritsafe` may follow and holds for every run (measure.seeds=5, paths.runs=...). scale=full prints the
commands with the papers' models and data; it runs them where all that they need is given, as given.teacher=FOLDER.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import open_dict

from scripts.described import ROOT
from scripts.parts import PARTS
from scripts.run import resolve
from scripts.told import told
from spiritsafe.errors import UserError
from spiritsafe.experiment.check import check
from spiritsafe.experiment.forecast import forecast
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.ladder import rungs
from spiritsafe.experiment.publish import copy, published
from spiritsafe.experiment.run import arms, cores, run
from spiritsafe.experiment.variants import variants
from spiritsafe.report.content import Row
from spiritsafe.report.papers import tables
from spiritsafe.report.papers.rows import rows_of
from spiritsafe.report.papers.spec import Run, Spec, read
from spiritsafe.report.papers.write import Finished, index, write
from spiritsafe.store.store import Store

FOLDER = ROOT / "configs" / "figure"
OWN = ("figure", "scale", "given")


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def parsed(arguments: Sequence[str]) -> tuple[str, str, dict[str, Path], list[str]]:
    """Figure, scale, what is given by name, and the overrides of every run."""
    own = {text.partition("=")[0]: text.partition("=")[2] for text in arguments if _group(text) in OWN}
    figure, scale = own.pop("figure", ""), own.pop("scale", "lab")
    if figure not in (*names(), "all"):
        raise UserError(f"there is no figure {figure!r}: set figure= to all or one of {', '.join(names())}")
    if scale not in ("lab", "full"):
        raise UserError(f"there is no scale {scale!r}: set scale=lab or scale=full")
    given = {name.removeprefix("given."): Path(path) for name, path in own.items()}
    for name, path in given.items():
        if not path.exists():
            raise UserError(f"given.{name}={path} is not there: give a local folder or file, nothing is downloaded")
    return figure, scale, given, [text for text in arguments if _group(text) not in OWN]


def _group(override: str) -> str:
    return override.partition("=")[0].partition(".")[0]


def overrides(spec: Spec, name: str, scale: str, given: Mapping[str, Path], more: Sequence[str] = ()) -> list[str]:
    """Of one run, with what is given in the place of each <name>."""
    each = spec.runs[name]
    shared = spec.lab.overrides if scale == "lab" else spec.full.overrides
    found = [*shared, *each.overrides, *(each.full if scale == "full" else ()), *more]
    return [_filled(text, given) for text in found]


def options(each: Run, scale: str, given: Mapping[str, Path]) -> dict[str, Any]:
    """Of another table; what is given by an option's own name takes its place."""
    found = {**each.options, **(each.full_options if scale == "full" else {})}
    found |= {name: str(path.resolve()) for name, path in given.items() if name in found}
    return {key: _filled(value, given) if isinstance(value, str) else value for key, value in found.items()}


def command(spec: Spec, name: str, scale: str, given: Mapping[str, Path], more: Sequence[str]) -> str:
    """What a run would be on its own."""
    each = spec.runs[name]
    if each.table == "experiment":
        return shlex.join(["spiritsafe", *overrides(spec, name, scale, given, more)])
    return f"{each.table}: " + " ".join(f"{key}={value}" for key, value in options(each, scale, given).items())


def _filled(text: str, given: Mapping[str, Path]) -> str:
    for need, path in given.items():
        text = text.replace(f"<{need}>", str(path.resolve()))
    return text


def labs(asked: Sequence[str]) -> dict[str, Lab]:
    """The experiments that ``spiritsafe`` would run with these overrides, by variant or rung ("" where it is one)."""
    with _composed(asked) as config:
        store = Store(Path(config.paths.store))
        plain = resolve(config)
    several = rungs(plain) if "rungs" in plain["attack"] else variants(plain)
    found = several or {"": plain}
    return {name: Lab(each, PARTS, store) for name, each in found.items()}


@contextmanager
def _composed(asked: Sequence[str]) -> Iterator[Any]:
    with initialize_config_module("configs", version_base="1.3"):
        try:
            config = compose("run", overrides=list(asked), return_hydra_config=True)
        except HydraException as error:
            raise UserError(f"a run does not compose: {str(error).splitlines()[0]} (of {shlex.join(asked)})") from error
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        yield config


def checked(work: Mapping[str, Lab]) -> None:
    for name, lab in work.items():
        try:
            check(lab)
        except UserError as error:
            raise UserError(f"run {name}: {error}") from error


def measured(work: Mapping[str, Lab]) -> None:
    """All runs of a figure are one work list; what the store has is not done again."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    students, first = {name: arms(lab.config) for name, lab in work.items()}, next(iter(work.values()))
    checked(work)
    workers = first.config["workers"]
    if expected := forecast([(lab, students[name]) for name, lab in work.items()], workers or cores()):
        print(expected)
    run(work, students, workers=workers)


def figure(name: str, scale: str, given: Mapping[str, Path], more: Sequence[str], folder: Path) -> Finished:
    spec = read(FOLDER / f"{name}.yaml")
    commands = {each: command(spec, each, scale, given, more) for each in spec.runs}
    if scale == "full" and set(spec.full.needs) - set(given):
        print(full(name, spec, list(commands.values())))
        return Finished(name, spec.title, spec.question, folder, list(commands.values()), "it needs what is not given")
    experiments = {
        each: labs(overrides(spec, each, scale, given, more))
        for each, one in spec.runs.items()
        if one.table == "experiment"
    }
    if experiments:
        measured({f"{each}/{of}".rstrip("/"): lab for each, found in experiments.items() for of, lab in found.items()})
    shutil.rmtree(folder / "runs", ignore_errors=True)
    rows: list[Row] = []
    for each, one in spec.runs.items():
        columns = {"run": each, **one.columns}
        for variant, lab in experiments.get(each, {}).items():
            report = published(lab, arms(lab.config), f"{spec.title}: {each}", commands[each])
            copy(report, folder / "runs" / each / variant)
            targeted = lab.config["measure"]["targeted"]
            rows += rows_of(report.folder, targeted, {"variant": variant, **columns})
        if one.table != "experiment":
            rows += [{**row, **columns} for row in tables.read(one.table, ROOT, options(one, scale, given))]
    done = write(folder, name, spec, rows, scale, list(commands.values()))
    print(f"The figure: {folder / f'{name}.png'}, its numbers: {folder / f'{name}.json'}")
    return done


def full(name: str, spec: Spec, commands: Sequence[str]) -> str:
    """What full scale would take, in words."""
    needs = [f"  given.{need}=PATH  {what}" for need, what in spec.full.needs.items()]
    return "\n".join(
        [
            f"{name} at full scale: about {spec.full.gpu_hours:g} hours on one {spec.full.device}. It needs",
            *needs,
            "and runs",
            *(f"  {text}" for text in commands),
        ]
    )


def figures(wanted: Sequence[str], scale: str, given: Mapping[str, Path], more: Sequence[str]) -> list[Finished]:
    """Every figure asked for; one that fails leaves the others alone and is listed."""
    folder, finished = out(more), []
    for place, name in enumerate(wanted):
        begun = perf_counter()
        if scale == "lab":
            time = read(FOLDER / f"{name}.yaml").lab.time
            print(f"Figure {place + 1} of {len(wanted)}: {name}, {time} on 2 cores if the store has nothing")
        try:
            finished.append(figure(name, scale, given, more, folder / name))
            print(f"{(perf_counter() - begun) / 60:.1f} min")
        except Exception as error:
            if len(wanted) == 1:
                raise
            said = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            print(f"error: {name}: {said}", file=sys.stderr)
            finished.append(Finished(name, name, "", folder / name, (), said))
    return finished


def out(more: Sequence[str]) -> Path:
    with _composed(more) as config:
        return Path(config.paths.runs) / "figures"


def main() -> None:
    with told():
        name, scale, given, more = parsed(sys.argv[1:])
        finished = figures(names() if name == "all" else [name], scale, given, more)
        if name == "all" and scale == "lab":
            print(f"All of them: {index(out(more), finished, scale)}")
        failed = [each for each in finished if each.error and scale == "lab"]
        if failed:
            raise UserError("not drawn: " + "; ".join(f"{each.name} ({each.error})" for each in failed))


if __name__ == "__main__":
    main()
