"""Self-consistency as a filter: of all replies to one prompt, whoever asked, keep those that give its majority answer.
Wang et al., ICLR 2023, arXiv 2203.11171 (40 samples there); against a perturbed service it is the smoothing over
several queries that ModelGuard, USENIX Security 2024, tests its defense with.

    keep reply i of prompt x  ⇔  a_i = argmax_a #{ j : a_j = a },  a tie going to the answer that came first

Needs no truth, only n > 1 replies: samples of a request, repetitions, or other accounts. Defaults: n of 1, 4 or 16.
Breakers: a perturbation that all the replies share (LADS, where accounts vote), and a wrong answer that most give.
Deviates: a majority is of the votes cast, however many; every turn of a conversation votes for itself; refusals in
words vote too, so drop them first.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from attacks.prompts import by_prompt
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome
from spiritsafe.measures.answers import number

MARK = r"####|\banswer\b(?: is\b)?\s*:?"


@dataclass(frozen=True)
class Majority:
    """The answer is the line after the last ``mark`` in the text, or all of the text; equal as numbers, or as words but
    for case, space and final stops. ``singles`` says whether a prompt with a single vote passes."""

    singles: bool = True
    mark: str = MARK

    def __post_init__(self) -> None:
        try:
            re.compile(self.mark)
        except re.error as error:
            raise UserError(f"majority's mark {self.mark!r} is no regular expression ({error})") from error

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        kept = {place for place, exchange in enumerate(exchanges) if exchange.purpose != "harvest"}
        for places in by_prompt(exchanges).values():
            answers = {
                place: answer
                for place in places
                if exchanges[place].reply.outcome is Outcome.ANSWERED
                and (answer := answer_of(exchanges[place].reply.text, self.mark)) != ""
            }
            if len(answers) > 1 or (answers and self.singles):
                votes = Counter(answers.values())
                winner = max(votes, key=votes.__getitem__)  # of equals the first
                kept |= {place for place, answer in answers.items() if answer == winner}
        return [exchange for place, exchange in enumerate(exchanges) if place in kept]


def answer_of(text: str, mark: str = MARK) -> Decimal | str:
    """The empty text only where nothing is said."""
    ends = [match.end() for match in re.finditer(mark, text, re.IGNORECASE)]
    said = _bare(text[ends[-1] :].strip().partition("\n")[0]) if ends else ""
    said = said or _bare(text)
    value = number(said)
    return said if value is None else value


def _bare(text: str) -> str:
    return " ".join(text.casefold().split()).strip(" .,;:!*")
