"""Chains of sums and products on the clock of the reference world."""

from spiritsafe.tasks.procedural import Draft, Level, Procedural
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import CLOCK, EASY_FACTORS, HARD_FACTORS, TERMS

LENGTH = 3
PROMPTS = ("compute {}", "what is {}", "work out {}", "evaluate {}", "give {}", "say what makes {}")


def times(value: int, factor: int) -> tuple[tuple[str, str], int]:
    """Wordings and result of one product."""
    return (f"{value} times {factor}", f"{factor} times {value}"), value * factor % CLOCK


def plus(value: int, term: int) -> tuple[tuple[str, str], int]:
    return (f"{value} plus {term}", f"{term} plus {value}"), (value + term) % CLOCK


class Arithmetic(Procedural):
    """``5 times 7 plus 3 times 4``, worked from left to right. Base students do not know the hard factors."""

    name = "arithmetic"

    def draft(self, pen: Pen, level: Level) -> Draft:
        value = pen.rng.randrange(CLOCK)
        expression, steps = [str(value)], []
        for place in range(pen.length(LENGTH)):
            if place == 1:
                term = pen.pick(TERMS)
                (wordings, value), word = plus(value, term), "plus"
            else:
                term = pen.pick(EASY_FACTORS if level == "easy" else HARD_FACTORS)
                (wordings, value), word = times(value, term), "times"
            value = pen.outcome(value, range(CLOCK))
            expression += [word, str(term)]
            steps.append((wordings, str(value)))
        core = " ".join(expression)
        return Draft(core, pen.pick(PROMPTS).format(core), pen.steps(steps), f"answer {value}", str(value))
