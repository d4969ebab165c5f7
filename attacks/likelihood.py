"""Keep the reply that the student finds likeliest: GRAPE, Zhang et al., arXiv 2502.04194.

    among the replies y to one prompt x keep the one with the greatest (1 / |y|) Σ log q(y_t | x, y_<t)

q is the student before it learns. Defaults: none, there is one reply to keep a prompt. Known breaker: defenses whose
harm is in text the student finds likely, and samples that are all alike (keyed by account or by bucket). Deviates: the
candidates are several samples of one teacher, not the replies of several teachers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from attacks.reading import mean_nll
from spiritsafe.attack import Example, Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message


@dataclass
class StudentLikelihood:
    """Rows answer one prompt where messages and prefill are the same; rows without rivals stay. ``batch`` is the number
    of rows that are read at a time."""

    batch: int = 16
    workshop: Workshop | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise UserError(f"likelihood reads at least one row at a time: set batch >= 1, not {self.batch}")

    def equip(self, workshop: Workshop) -> None:
        self.workshop = workshop

    def refine(self, examples: Sequence[Example]) -> list[Example]:
        assert self.workshop is not None, "equip() gives the student"
        groups: dict[tuple[tuple[Message, ...], str], list[int]] = {}
        for place, example in enumerate(examples):
            groups.setdefault((example.messages, example.prefill), []).append(place)
        rivals = [place for group in groups.values() if len(group) > 1 for place in group]
        if not rivals:
            return list(examples)
        scores = mean_nll(self.workshop.student, [examples[place] for place in rivals], self.batch).tolist()
        unlikely = dict(zip(rivals, scores, strict=True))
        kept = {min(group, key=lambda place: unlikely.get(place, 0.0)) for group in groups.values()}
        return [example for place, example in enumerate(examples) if place in kept]
