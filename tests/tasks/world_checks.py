"""What the tests of the reference world share: replies, episodes, and what is true in it, told a second time."""

import re
from itertools import product

from spiritsafe.exchange import END_THINK, THINK, Outcome, Reply
from spiritsafe.task import Item, Task
from spiritsafe.tasks.arithmetic import Arithmetic
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.procedural import Level, Procedural
from spiritsafe.tasks.programs import Programs
from spiritsafe.tasks.recipes import Lookalike, Recipes, Restricted
from spiritsafe.tasks.tools import Tools
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import (
    CLOCK,
    EASY_PEOPLE,
    FACTS,
    HARD_PEOPLE,
    LEDGER,
    LIBRARY,
    REACTIONS,
    SUBSTANCES,
    TOOLS,
    TOWNS,
    TRADES,
)

CAPABILITIES: tuple[type[Procedural], ...] = (Arithmetic, Programs, Facts, Recipes, Tools)
TASKS = (*CAPABILITIES, Restricted, Lookalike)
HOURS = range(CLOCK)


def reply(raw: str) -> Reply:
    """A raw completion as a teacher serves it."""
    if not raw.startswith(THINK):
        return Reply(Outcome.ANSWERED, raw)
    reasoning, _, text = raw.removeprefix(THINK).partition(END_THINK)
    return Reply(Outcome.ANSWERED, text, reasoning)


def play(task: Task, item: Item) -> list[Reply]:
    """The item's worked turns as an episode; the environment must say what is written between them."""
    replies, turns = [], list(item.turns)
    while turns:
        replies.append(reply(turns.pop(0).content))
        assert task.observe(item, replies) == (turns.pop(0) if turns else None)
    return replies


def drawn(task: Procedural, pen: Pen, level: Level) -> Item:
    return task.finish(task.draft(pen, level), "drawn", level, pen)


def steps(item: Item) -> list[tuple[str, str]]:
    """What was done and what came of it, for each step of the worked turns (but the close of a tools episode)."""
    shown = [reply(turn.content).reasoning or "" for turn in item.turns if turn.role == "assistant"]
    return [_step(line) for reasoning in shown for line in re.findall(r".+? [.;]", reasoning) if " is it " not in line]


def _step(line: str) -> tuple[str, str]:
    late = re.fullmatch(r" (?:first|start|so|now|then|next) (.+) (?:gives|makes|is) (\S+) [.;]", line)
    early = re.fullmatch(r" (?:first|start|so|now|then|next) (\S+) by (.+) [.;]", line)
    assert (late is None) != (early is None), line
    return (late[1], late[2]) if late else (early[2], early[1])


def _truth() -> dict[str, str]:
    """The result of every step that can be worded."""
    true: dict[str, object] = {}
    for x, k in product(HOURS, repeat=2):
        true |= {f"{x} times {k}": x * k % CLOCK, f"{x} plus {k}": (x + k) % CLOCK}
    for (name, (slope, shift)), x in product(LIBRARY.items(), HOURS):
        true |= dict.fromkeys((f"{name} {x}", f"{x} under {name}"), (slope * x + shift) % CLOCK)
    for process, table in REACTIONS.items():
        for before, after in table.items():
            true |= dict.fromkeys((f"{process} {before}", f"{before} after {process}"), after)
    known = {(relation, person): other for (person, relation), other in FACTS.items()}
    known |= {(aspect, name): value for (name, aspect), value in LEDGER.items()}
    known |= {(relation, holder): tool for relation, tool in TOOLS.items() for holder in (*HOURS, *PEOPLE)}
    for (relation, holder), value in known.items():
        true |= dict.fromkeys((f"{relation} of {holder}", f"{holder} {relation}"), value)
    return {wording: str(result) for wording, result in true.items()}


PEOPLE = (*EASY_PEOPLE, *HARD_PEOPLE)
TRUTH = _truth()
SORTS = {str(name): names for names in (HOURS, PEOPLE, SUBSTANCES, TOWNS, TRADES, TOOLS.values()) for name in names}
