"""The many valid ways to word a step: the freedom that sampling-level defenses and watermarks act on."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import TypeVar

from spiritsafe.exchange import END_THINK, THINK

OPENERS = ("first", "start", "so", "now")
CONNECTIVES = ("then", "next", "now", "so")
STOPS = (".", ";")
YIELDS = ("gives", "makes", "is")


Choice = TypeVar("Choice")


@dataclass(frozen=True)
class Pen:
    """A seeded writer. A dishonest pen words every step well and makes up its result: that is how base students
    come to speak the language of the hard level without its skill."""

    rng: Random
    honest: bool = True
    short: float = 0.0  # share of chains cut short, for lessons

    def length(self, full: int) -> int:
        return self.rng.randint(1, full) if self.rng.random() < self.short else full

    def pick(self, options: Sequence[Choice]) -> Choice:
        return options[self.rng.randrange(len(options))]

    def outcome(self, truth: Choice, options: Sequence[Choice]) -> Choice:
        return truth if self.honest else self.pick(options)

    def step(self, wordings: Sequence[str], result: str, first: bool) -> str:
        """One worked step: what was done, in one of its wordings, and what came of it. A quarter of the steps state
        the result before the operands it used: as true as the others, and harder to learn from."""
        lead = self.pick(OPENERS if first else CONNECTIVES)
        wording, stop = self.pick(wordings), self.pick(STOPS)
        if self.rng.random() < 0.25:
            return f"{lead} {result} by {wording} {stop}"
        return f"{lead} {wording} {self.pick(YIELDS)} {result} {stop}"

    def steps(self, steps: Sequence[tuple[Sequence[str], str]]) -> str:
        return " ".join(self.step(wordings, result, first=not index) for index, (wordings, result) in enumerate(steps))


def completion(reasoning: str, text: str) -> str:
    return f"{THINK} {reasoning} {END_THINK} {text}"
