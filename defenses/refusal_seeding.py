"""Refusals inside useful reasoning: what leaks of a dual-use skill takes along the policy that goes with it. No paper
does this; near are a few per cent of refusals in benign tuning data (Safety-Tuned LLaMAs, arXiv 2309.07875) and
deliberative alignment, where the policy is reasoned about before the answer.

    reasoning  →  in random order,  <its request> : <its reasoning>   and   <a restricted request> : <its refusal> ;

The refusal is the teacher's own, and the answer is untouched, so a filter that looks for refusals in answers keeps the
row. As the order is random, what follows a request depends on what it asks for and not on its place. Default: the share
is ours (the literature mixes in 1 to 10 %).
Breakers: dropping the rows, or the steps, that hold a refusal anywhere; training on answers alone. Dropping rows is
nearly free at a small share and costs the attacker the skill at share 1; dropping steps is nearly free at any.
Deviates: it is words in place of a policy that the teacher itself reasons about. In the reference world it does not do
what it is for: a student learns to refuse inside its reasoning, at share 1 nearly always, and answers all the
same, while the added text costs it skill. policy_trap carries some refusals to where they count.
"""

from dataclasses import dataclass
from random import Random

from defenses.primitives.seeding import Refusal, Seeding, said
from spiritsafe.errors import UserError
from spiritsafe.exchange import Request


@dataclass(kw_only=True)
class RefusalSeeding(Seeding):
    """``case`` introduces a case, with {request}: its first ``words`` (null: all of them)."""

    case: str = "{request} :"
    words: int | None = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if "{request}" not in self.case or (self.words is not None and self.words < 1):
            raise UserError(
                "refusal_seeding needs {request} in its case and words >= 1 (or null), got "
                f"case={self.case!r}, words={self.words}"
            )

    def seeded(self, request: Request, trace: str, refusal: Refusal, chance: Random) -> str:
        cases = [f"{self._named(said(request.messages))} {trace}", f"{self._named(refusal.asked)} {refusal.text} ;"]
        chance.shuffle(cases)
        return " ".join(cases)

    def _named(self, asked: str) -> str:
        return self.case.replace("{request}", " ".join(asked.split()[: self.words]))
