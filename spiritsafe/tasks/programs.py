"""Software engineering in the small: run, complete and repair short programs. Scored by executing them.

A program assigns to variables and prints one. Right-hand sides are ``f x`` (a library function), ``x * k`` or
``x + k``. Any answer that makes the program print what it should is right.
"""

import re
from itertools import pairwise

from spiritsafe.task import Item
from spiritsafe.tasks.arithmetic import plus, times
from spiritsafe.tasks.procedural import Draft, Level, Procedural
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import CLOCK, EASY_FACTORS, EASY_FUNCTIONS, HARD_FACTORS, HARD_FUNCTIONS, LIBRARY, TERMS

VARIABLES = ("a", "b", "c", "d")
_LINE = re.compile(r"(?P<target>[a-d]) = (?P<value>.{1,80})")


def call(function: str, value: int) -> tuple[tuple[str, str], int]:
    """Wordings and result of one library call."""
    slope, shift = LIBRARY[function]
    return (f"{function} {value}", f"{value} under {function}"), (slope * value + shift) % CLOCK


def execute(program: str) -> int | None:
    """What a program prints, or None where it is not a program. Total: no loops and nothing of Python's."""
    values: dict[str, int] = {}
    *lines, last = [line.strip() for line in program.split(";")]
    for line in lines:
        match = _LINE.fullmatch(line)
        value = _evaluate(match["value"].split(), values) if match else None
        if match is None or value is None:
            return None
        values[match["target"]] = value
    return values.get(last.removeprefix("print ")) if last.startswith("print ") else None


def _evaluate(words: list[str], values: dict[str, int]) -> int | None:
    match words:
        case [number] if number.isdecimal():
            return int(number) % CLOCK
        case [function, name] if function in LIBRARY and name in values:
            return call(function, values[name])[1]
        case [name, "*", number] if name in values and number.isdecimal():
            return times(values[name], int(number))[1]
        case [name, "+", number] if name in values and number.isdecimal():
            return plus(values[name], int(number))[1]
    return None


class Programs(Procedural):
    """Half *run* (what does it print?), a quarter *complete* (fill the hole) and *repair* (rewrite the last line)."""

    name = "programs"

    def draft(self, pen: Pen, level: Level) -> Draft:
        kind = pen.pick(("run", "run", "complete", "repair"))
        value = pen.rng.randrange(CLOCK)
        lines, steps = [f"a = {value}"], []
        length = pen.length(3 if kind == "run" else 2)
        for before, after in pairwise(VARIABLES[: length + 1]):
            if pen.rng.random() < 0.7:
                function = pen.pick(EASY_FUNCTIONS if level == "easy" else HARD_FUNCTIONS)
                (wordings, value), right_side = call(function, value), f"{function} {before}"
            else:
                factor = pen.pick(EASY_FACTORS if level == "easy" else HARD_FACTORS)
                (wordings, value), right_side = times(value, factor), f"{before} * {factor}"
            value = pen.outcome(value, range(CLOCK))
            lines.append(f"{after} = {right_side}")
            steps.append((wordings, str(value)))
        code = " ; ".join(lines)
        if kind == "run":
            prompt = pen.pick(("run", "what does this print :")) + f" {code} ; print {after}"
            return Draft(code, prompt, pen.steps(steps), f"answer {value}", str(value))
        last = f"d = {after}"
        gap = pen.pick(TERMS)
        wordings, goal = plus(value, gap)
        steps.append((wordings, str(goal)))
        if kind == "complete":
            prompt = pen.pick(("complete", "fill the hole :")) + f" {code} ; {last} + ? ; print d => {goal}"
            return Draft(code, prompt, pen.steps(steps), f"answer {gap}", str(gap))
        wrong = pen.pick([term for term in TERMS if term != gap])
        prompt = pen.pick(("repair", "mend the last line :")) + f" {code} ; {last} + {wrong} ; print d => {goal}"
        answer = f"{last} + {gap}"
        return Draft(code, prompt, pen.steps(steps), f"answer {answer}", answer)

    def right(self, item: Item, answer: str) -> bool:
        prompt = item.messages[0].content
        program = prompt[prompt.index("a = ") :]
        if "=>" not in program:
            return execute(program) is not None and answer == str(execute(program))
        program, _, goal = program.partition(" => ")
        *kept, last, printing = program.split(" ; ")
        mended = last.replace("?", answer) if "?" in last else answer
        if re.fullmatch(r"\w+ = \d+", mended):
            return False  # printing the goal itself mends nothing
        return execute(" ; ".join([*kept, mended, printing])) == int(goal)
