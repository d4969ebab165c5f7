"""Worked examples that an attacker owns without asking: public demonstrations of its tasks."""

from collections.abc import Sequence

from spiritsafe.attack import Example, Workshop
from spiritsafe.errors import UserError
from spiritsafe.experiment.lessons import public


def owned(workshop: Workshop, count: int, tasks: Sequence[str] = ()) -> list[Example]:
    """About ``count`` over the named tasks, or over all capabilities."""
    known = {task.name: task for task in workshop.tasks}
    if unknown := [name for name in tasks if name not in known]:
        raise UserError(
            f"a refiner wants public demonstrations of {', '.join(unknown)}, which the experiment does not have: "
            f"choose its tasks among {', '.join(known)}"
        )
    return public([known[name] for name in tasks or known], count, workshop.seed)
