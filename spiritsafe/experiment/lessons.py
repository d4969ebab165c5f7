"""What each arm's student learns from: the attacker's harvest, or a control in its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from spiritsafe.attack import Attack, Example, Prompt, Workshop, demonstrations, equipped
from spiritsafe.defense import Respond
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Sampling
from spiritsafe.experiment.episode import play
from spiritsafe.task import Item, Kind, Split, Task

CHOSEN_AMONG = 5  # how often the part of a pool is doubled in which a chosen prompt is looked for


def attacked(exchanges: Sequence[Exchange], attack: Attack, workshop: Workshop) -> list[Example]:
    """S_att: the replies, cleaned, then made into rows, refined. Nothing is made of nothing."""
    for cleaner in attack.cleaners:
        equipped(cleaner, workshop)
        exchanges = cleaner.clean(exchanges)
    rows = workshop.examples(exchanges)
    for refiner in attack.refiners if rows else ():
        equipped(refiner, workshop)
        rows = refiner.refine(rows)
    return rows


def public(tasks: Sequence[Task], count: int, seed: int) -> list[Example]:
    """S_fmt: about ``count`` public demonstrations over all capabilities; they show the format."""
    capable = [task for task in tasks if task.kind is Kind.CAPABILITY]
    return [
        example
        for place, task in enumerate(capable)
        for item in task.items(Split.PUBLIC, count // len(capable) + (place < count % len(capable)), seed)
        for example in demonstrations(item)
    ]


def oracle(exchanges: Sequence[Exchange], tasks: Sequence[Task], seed: int) -> list[Example]:
    """S_gt: the same prompts with their ground truth."""
    return [example for prompt in asked(exchanges, tasks, seed) for example in demonstrations(prompt.item)]


def self_taught(
    exchanges: Sequence[Exchange], tasks: Sequence[Task], seed: int, respond: Respond, sampling: Sampling
) -> list[Example]:
    """S_self: the same prompts, answered by the bare student itself."""
    rows = []
    for episode in play(asked(exchanges, tasks, seed), respond, sampling):
        for turn, reply in enumerate(episode.replies):
            if reply.completion:
                rows.append(Example(episode.before(turn), reply.completion))
    return rows


def unrelated(examples: Sequence[Example], seed: int) -> list[Example]:
    """S_rand: the same replies, each under another's prompt."""
    completions = [example.completion for example in examples]
    Random(seed).shuffle(completions)
    return [Example(row.messages, completion) for row, completion in zip(examples, completions, strict=True)]


def asked(exchanges: Sequence[Exchange], tasks: Sequence[Task], seed: int) -> list[Prompt]:
    """The distinct items of a transcript, in the order they were first asked."""
    prompts = []
    wanted: dict[str, dict[str, None]] = {}
    for exchange in exchanges:
        wanted.setdefault(exchange.task, {})[exchange.item] = None
    for task in tasks:
        names = wanted.get(task.name, {})
        items = _found(task, names, seed)
        if missing := [name for name in names if name not in items]:
            raise UserError(
                f"{len(missing)} prompts of task {task.name} are not in its pool: the oracle needs them there"
            )
        prompts += [Prompt(task, items[name]) for name in names]
    return prompts


def _found(task: Task, names: Mapping[str, None], seed: int) -> dict[str, Item]:
    """Items of a task's pool, as many as it takes to find all of these: a source may have chosen among more."""
    items: dict[str, Item] = {}
    for doubled in range(CHOSEN_AMONG):
        if names.keys() <= items.keys():
            break
        count = len(names) if not doubled else max(len(names), 256) * 2**doubled
        items = {item.id: item for item in task.items(Split.POOL, count, seed)}
    return items
