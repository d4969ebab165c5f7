"""Everything that can be known to be wrong before hours are spent."""

from __future__ import annotations

from spiritsafe.errors import UserError
from spiritsafe.experiment.lab import NONE, Lab
from spiritsafe.experiment.settings import build
from spiritsafe.models import identity
from spiritsafe.objective import check_signals


def check(lab: Lab) -> None:
    config = lab.config
    if NONE not in config["stacks"]:
        raise UserError("a comparison needs the undefended teacher: add `none` to compare")
    if not config["task"]:
        raise UserError("there is nothing to measure: choose task=world or others in configs/task")
    known = {str(task) for task in config["task"]}
    targeted = config["measure"]["targeted"]
    if missing := [name for name in targeted if name not in known]:
        raise UserError(f"targeted tasks {missing} are not part of the experiment: it has {sorted(known)}")
    for name in ("items", "seeds", "public"):
        if int(config["measure"][name]) < 1:
            raise UserError(f"measure.{name} must be at least 1, got {config['measure'][name]}")
    lab.budget  # noqa: B018  (its own checks)
    check_signals(build(config["objective"]), lab.interface)
    lab.parts.recipe(**config["recipe"])
    for model in ("teacher", "student"):
        identity(config[model]["path"], config[model].get("revision"), config[model].get("chat_template"))
