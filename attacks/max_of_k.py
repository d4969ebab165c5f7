"""Max-of-k: of several replies to one prompt train on the best. Libon et al., arXiv 2606.25059, against
antidistillation sampling: the prompt is asked again where the trace looks poisoned, and D rows cost Q = D to 4 D.

    keep  argmax over the first k replies of a prompt of  (verified, not cut off, words);   no loop, nothing empty

Breakers: charging for queries, interfaces of one sample, defenses that leave no sign on the trace. Deviates: no code is
public, so the score is ours: it prefers what was finished, then the longest, since poison ends traces early or makes
them loop. All k are asked for whether or not the first was good, so the cost is k D.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from attacks.prompts import by_prompt
from attacks.verify import Verify
from spiritsafe.attack import Workshop
from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Outcome
from spiritsafe.measures.refusal import repetition

By = Literal["longest", "verified"]


@dataclass
class MaxOfK:
    """``score=verified`` puts what ``verify`` finds right before all else; ``k`` counts replies, bad ones too (None:
    all there are). ``repeated`` is the share of repeated 4-grams above which a reply is a loop."""

    score: By = "longest"
    k: int | None = None
    repeated: float = 0.5
    verify: Verify = field(default_factory=Verify)

    def __post_init__(self) -> None:
        if self.score not in get_args(By) or (self.k is not None and self.k < 1):
            raise UserError(
                f"max_of_k needs score in {get_args(By)} and k >= 1 (or null), got score={self.score!r}, k={self.k}"
            )

    def equip(self, workshop: Workshop) -> None:
        if self.score == "verified":
            self.verify.equip(workshop)

    def clean(self, exchanges: Sequence[Exchange]) -> list[Exchange]:
        right = self.verify.right(exchanges) if self.score == "verified" else [None] * len(exchanges)

        def merit(place: int) -> tuple[bool, bool, int]:
            reply = exchanges[place].reply
            return right[place] is True, reply.finish != "length", len(reply.completion.split())

        kept = {place for place, exchange in enumerate(exchanges) if exchange.purpose != "harvest"}
        for places in by_prompt(exchanges).values():
            sound = [place for place in places[: self.k] if self._sound(exchanges[place])]
            kept |= {max(sound, key=merit)} if sound else set()
        return [exchange for place, exchange in enumerate(exchanges) if place in kept]

    def _sound(self, exchange: Exchange) -> bool:
        completion = exchange.reply.completion
        answered = exchange.reply.outcome is Outcome.ANSWERED and bool(completion.strip())
        return answered and repetition(completion) <= self.repeated
