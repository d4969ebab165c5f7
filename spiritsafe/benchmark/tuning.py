"""An attack's choice of its own hyper-parameters: by what its student does on items that are in no other split.

A candidate changes only what happens after the campaign, so all of them learn from one transcript and are billed
nothing more; one that would ask the teacher anew is refused. The candidate that is best at the largest budget, with one
seed, is used at every budget and seed, and reported on the test split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.experiment.keys import Arm
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.variants import merged

Options = dict[str, Any]
Run = Callable[[Mapping[str, Lab], Mapping[str, Sequence[Arm]]], None]


@dataclass
class Choice:
    """``tried`` are the candidates with their accuracy on the targeted tasks, answer-forced, in the order tried."""

    tried: list[tuple[Options, float]] = field(default_factory=list)

    @property
    def options(self) -> Options:
        """The best; of equals the first."""
        return max(self.tried, key=lambda each: each[1])[0] if self.tried else {}


def chosen(labs: Mapping[str, Lab], search: Mapping[str, Any], run: Run, seed: int = 0) -> dict[str, Choice]:
    """What each attack on one stack (a lab by name) chooses of ``search``: ``space`` maps an option (dotted) to its
    values, ``method`` is ``grid`` (all of them) or ``optuna`` (``trials`` of them), ``items`` is the validation
    split's size, a task. ``run`` trains and examines."""
    choices = {name: Choice() for name in labs}
    if not search["space"]:
        return choices
    rounds = _grid(search) if search["method"] == "grid" else _optuna(search, choices, seed)
    for proposed in rounds:
        candidates = {
            f"{name} {place}": (name, options, _candidate(labs[name], options, int(search["items"])))
            for name in labs
            for place, options in enumerate(proposed(name))
        }
        arms = {label: [_arm(lab)] for label, (_, _, lab) in candidates.items()}
        run({label: lab for label, (_, _, lab) in candidates.items()}, arms)
        for name, options, lab in candidates.values():
            choices[name].tried.append((options, _accuracy(lab)))
    return choices


def with_options(lab: Lab, options: Options, **more: Any) -> Lab:
    """The same experiment with other options (dotted)."""
    config: dict[str, Any] = dict(lab.config)
    for name, value in {**options, **more}.items():
        change: Any = value
        for part in reversed(name.split(".")):
            change = {part: change}
        config = merged(config, change, "search.space")
    return Lab(config, lab.parts, lab.store)


def _candidate(lab: Lab, options: Options, items: int) -> Lab:
    found = with_options(lab, options, **{"measure.split": "calibration", "measure.items": items})
    stack = _stack(lab)
    if found.harvest_key(stack) != lab.harvest_key(stack):
        raise UserError(
            f"a choice of {', '.join(options)} would ask the teacher anew, and no search may spend more than the "
            "campaign did: keep to options of recipe, objective, passes and attack.cleaners or refiners"
        )
    return found


def _stack(lab: Lab) -> str:
    return next(iter(lab.config["stacks"]))


def _arm(lab: Lab) -> Arm:
    return Arm("attacked", _stack(lab), lab.budget.checkpoints[-1])


def _accuracy(lab: Lab) -> float:
    rows = lab.items(lab.examined_student(_arm(lab)))
    targeted = lab.config["measure"]["targeted"]
    each = [[row["forced"] for row in rows if row["task"] == task] for task in targeted]
    return sum(sum(task) / len(task) for task in each) / len(each)


def _grid(search: Mapping[str, Any]) -> Iterator[Callable[[str], list[Options]]]:
    space = search["space"]
    everything = [dict(zip(space, values, strict=True)) for values in product(*space.values())]
    yield lambda name: everything


def _optuna(
    search: Mapping[str, Any], choices: Mapping[str, Choice], seed: int
) -> Iterator[Callable[[str], list[Options]]]:
    """A round proposes one candidate for each attack, learning from the rounds before it."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("search.method=optuna needs: pip install 'spiritsafe[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if not search["trials"]:
        raise UserError("search.method=optuna needs a number of search.trials")
    spaces = {name: optuna.distributions.CategoricalDistribution(values) for name, values in search["space"].items()}
    studies = {
        name: optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        for name in choices
    }
    for _ in range(int(search["trials"])):
        trials = {name: study.ask(spaces) for name, study in studies.items()}
        yield {name: [trial.params] for name, trial in trials.items()}.__getitem__
        for name, study in studies.items():
            study.tell(trials[name], choices[name].tried[-1][1])
