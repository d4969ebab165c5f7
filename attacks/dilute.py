"""Train on a share of what was harvested: other rows learn the same question from its own worked answer.

What an ownership test can still tell when only a share d of the training text is marked: radioactivity against the
share of marked data, Sander et al., NeurIPS 2024, arXiv 2402.14904, who mix marked and unmarked instructions.

    a row keeps the teacher's words with probability ``share``, else it takes the pool's

Costs no query, and no less: every reply was paid for. Breakers: tests that need little, p < 1e-5 at 5 % in the paper's
abstract. Deviates: unmarked answers are the tasks' ground truth, to the very questions that were asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from spiritsafe.attack import Example, Workshop, demonstrations
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from spiritsafe.task import Kind, Split

DEEP = 2  # times as many items as rows are looked through in each pool, since cleaners have dropped some rows


@dataclass
class Dilute:
    """``share`` in [0, 1] of the rows stays; a larger share keeps what a smaller one does. Questions are plainly
    asked."""

    share: float = 0.5
    workshop: Workshop | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UserError(f"dilute needs a share from 0 to 1 of rows that stay, got share={self.share}")

    def equip(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def refine(self, examples: Sequence[Example]) -> list[Example]:
        assert self.workshop is not None, "equip() gives the tasks and their seed"
        rng = Random(f"{self.workshop.seed}/dilute")
        kept = [rng.random() < self.share for _ in examples]
        own = {} if all(kept) else self._answers(DEEP * len(examples))
        if missing := sum(not stays and each.messages not in own for stays, each in zip(kept, examples, strict=True)):
            raise UserError(
                f"dilute found no worked answer to {missing} questions: ask the capabilities' own questions, plainly "
                "(attack=targeted), and dilute before any other refiner"
            )
        return [each if stays else own[each.messages] for stays, each in zip(kept, examples, strict=True)]

    def _answers(self, count: int) -> dict[tuple[Message, ...], Example]:
        assert self.workshop is not None
        return {
            row.messages: row
            for task in self.workshop.tasks
            if task.kind is Kind.CAPABILITY
            for item in task.items(Split.POOL, count, self.workshop.seed)
            for row in demonstrations(item)
        }
