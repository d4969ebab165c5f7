"""First steps: show how the reasoning begins, and the whole answer. An example, from no paper.

Defaults: half of the steps, ours. Breakers: training on the answers; keeping what shows enough (`long_reasoning`).
Deviates: none.
"""

from dataclasses import dataclass
from math import ceil

from defenses.primitives.sentences import reasons, steps, with_reasoning
from spiritsafe.defense import Defense
from spiritsafe.errors import UserError
from spiritsafe.exchange import Reply, Request


@dataclass
class FirstSteps(Defense):
    """``share`` of a trace's steps, rounded up; 1 shows all of them."""

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UserError(f"first_steps needs a share between 0 and 1, got {self.share}")

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        if not reasons(request, reply):
            return reply
        trace = steps(reply.reasoning or "")
        return with_reasoning(reply, "".join(trace[: ceil(self.share * len(trace))]))
