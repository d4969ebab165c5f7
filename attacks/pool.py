"""Prompts from a public pool, aimed at chosen capabilities: the campaigns of 2026 wanted software engineering and
agentic work, and little else.

Knows nothing about replies: the same seed asks the same questions in the same order, whatever comes back.
"""

from collections.abc import Iterator, Mapping, Sequence
from heapq import merge
from itertools import islice
from math import ceil
from random import Random

from spiritsafe.attack import Prompt
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange
from spiritsafe.task import Item, Split, Task


class Pool:
    """A pool of about ``size`` prompts, each task's share proportional to its weight, at every length of the campaign.

    Prompts come without end: a task that has asked all its items begins again. Shorter campaigns are prefixes of longer
    ones, also where ``size`` differs, as long as it covers them.
    """

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float], seed: int, size: int):
        wanted, known = targeted(tasks, weights, size), {task.name: task for task in tasks}
        total = sum(wanted.values())
        streams = []
        for name, weight in wanted.items():
            share = weight / total
            count = min(size, ceil((size + len(wanted)) * share) + 1)
            items = known[name].items(Split.POOL, count, seed)
            if not items:
                raise UserError(f"task {name} has no prompts in its pool split: give it data, or set its weight to 0")
            streams.append(_spread(known[name], items, share, Random(f"{seed}/{name}")))
        self._prompts = merge(*streams, key=lambda place: place[0])

    def propose(self, count: int) -> list[Prompt]:
        return [prompt for _, prompt in islice(self._prompts, count)]

    def observe(self, exchanges: Sequence[Exchange]) -> None: ...


def targeted(tasks: Sequence[Task], weights: Mapping[str, float], size: int) -> dict[str, float]:
    """The weights that are not zero; UserError where they aim at nothing, or at what is not there."""
    known = [task.name for task in tasks]
    wanted = {name: float(weight) for name, weight in weights.items() if weight}
    if unknown := wanted.keys() - set(known):
        raise UserError(
            f"the attack targets {', '.join(sorted(unknown))}, which the experiment does not have: "
            f"add them to task=[...] or set attack.source.weights over {', '.join(known)}"
        )
    if not wanted or min(wanted.values()) < 0:
        raise UserError(
            "the attack targets nothing: give attack.source.weights one positive weight, e.g. {programs: 1}"
        )
    if size < 1:
        raise UserError(f"the prompt pool is empty: set attack.source.size to 1 or more, not {size}")
    return wanted


def _spread(task: Task, items: Sequence[Item], share: float, rng: Random) -> Iterator[tuple[float, Prompt]]:
    """One prompt at a seeded place in each span of 1 / share, so no prefix strays far from the weights."""
    index = 0
    while True:
        yield (index + rng.random()) / share, Prompt(task, items[index % len(items)])
        index += 1
