"""Everything that can be known to be wrong before hours are spent."""

from __future__ import annotations

from collections.abc import Sequence

from spiritsafe.attack import PromptSource
from spiritsafe.defense import Needs
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.experiment import own_loop
from spiritsafe.experiment.keys import NONE
from spiritsafe.experiment.lab import Lab
from spiritsafe.experiment.settings import build, prices_of, target
from spiritsafe.interface import Signal
from spiritsafe.measures.detector import detector_of, read_detectors
from spiritsafe.models import identity
from spiritsafe.objective import check_signals
from spiritsafe.task import Kind

CONTROLS = ("oracle", "self", "random")  # trained at each checkpoint


def check(lab: Lab) -> None:
    config = lab.config
    if NONE not in config["stacks"]:
        raise UserError("a comparison needs the undefended teacher: add `none` to compare")
    if not config["task"]:
        raise UserError("there is nothing to measure: choose task=world or others in configs/task")
    measure = config["measure"]
    for name in ("items", "seeds", "public"):
        if not isinstance(measure[name], int) or measure[name] < 1:
            raise UserError(f"measure.{name} must be a number of at least 1, got {measure[name]!r}")
    if measure["split"] not in ("test", "calibration"):
        raise UserError(f"measure.split is test, or calibration where something is chosen, not {measure['split']!r}")
    if not isinstance(config["passes"], int) or config["passes"] < 1:
        raise UserError(f"passes must be a number of at least 1, got {config['passes']!r}")
    if unknown := set(measure["controls"]) - set(CONTROLS):
        raise UserError(f"there are no controls {sorted(unknown)}: choose measure.controls among {list(CONTROLS)}")
    lab.budget, lab.recipe, prices_of(config["prices"])  # their own checks
    detectors = read_detectors(measure.get("detector"))
    for arm in ("teacher", "bare", "format", "attacked", *measure["controls"]) if detectors else ():
        detector_of(detectors, arm)
    for model in ("teacher", "student"):
        identity(config[model]["path"], config[model].get("revision"), config[model].get("chat_template"))
    check_learning(lab)
    ahead = [name for name in config["stacks"] if not lab.store.stage("harvest", lab.harvest_key(name)).complete]
    if ahead:
        attack = lab.attack()
        lab.interface.check(attack.elicitor.wrap("check", (Message("user", "?"),), lab.interface))
        check_controls(attack.source, measure["controls"])
    for name in ahead:
        for option, part in config["stacks"][name].items():
            defense = build(part)
            if defense.needs & Needs.LOGPROBS and not lab.interface.signals & Signal.TOP_LOGPROBS:
                raise UserError(
                    f"{option} changes the log probabilities that are shown, and this interface shows none: add "
                    "interface=logprobs (with objective=topk_kl for a student that learns from them)"
                )
            defense.check(lab.teacher)
    capabilities = [task.name for task in lab.tasks if task.kind is Kind.CAPABILITY]
    targeted = measure["targeted"]
    if not targeted or not set(targeted) <= set(capabilities):
        raise UserError(
            f"transfer is measured on capabilities, not on {targeted or 'nothing'}: "
            f"set measure.targeted to some of {capabilities}"
        )


def check_learning(lab: Lab) -> None:
    """Whether what the student is to learn from will be there."""
    config, objective = lab.config, build(lab.config["objective"])
    name, refiners = type(objective).__name__, [target(part) for part in config["attack"].get("refiners", ())]
    check_signals(objective, lab.interface)
    for refiner in refiners:
        if getattr(refiner, "needs", Signal.TEXT) & ~lab.interface.signals:
            raise UserError(
                f"{refiner.__name__} works on log probabilities, and this interface shows none: add "
                "interface=logprobs (with objective=topk_kl for a student that learns from them)"
            )
    if getattr(objective, "contrasts", False) and not any(getattr(part, "contrasts", False) for part in refiners):
        raise UserError(
            f"{name} sets what the student would have said beside what the teacher said, and nothing writes it: use "
            "attack=preference, or add attacks.negatives.StudentNegatives to attack.refiners"
        )
    if own_loop.is_scored(config["objective"]):
        smallest, batch_size = lab.budget.checkpoints[0], lab.recipe.batch_size
        own_loop.check_loop(objective, lab.interface, smallest, config["warm_start"], batch_size, lab.same_tokenizer)
    elif Signal.TOP_LOGPROBS in objective.needs and not hasattr(objective, "align") and not lab.same_tokenizer:
        raise UserError(
            f"{name} learns from the log probabilities of the teacher's tokens, which are not this student's: use "
            "objective=uld or objective=sft, or a student of the teacher's family"
        )
    elif own_loop.is_discriminated(config["objective"]) and lab.recipe.batch_size % own_loop.ROLLOUTS:
        raise UserError(
            f"{name} compares {own_loop.ROLLOUTS} completions of a prompt: set recipe.batch_size to a multiple of "
            f"{own_loop.ROLLOUTS}"
        )


def check_controls(source: PromptSource, controls: Sequence[str]) -> None:
    """No control can answer what only its attacker has thought of."""
    learning = [name for name in controls if name in ("oracle", "self")]
    if learning and getattr(source, "off_pool", False):
        raise UserError(
            f"{type(source).__name__} asks questions that are in no pool of the tasks, so {' and '.join(learning)} "
            "have no items to learn from: set measure.controls=[]"
        )
