"""Hidden reasoning: serve the answer, keep the chain of thought. Industry default; measured by DistillGuard,
arXiv 2603.07835, where it takes a student's MATH-500 from 67.8 to 31.4 and leaves its code untouched.

Defaults: none, there is no knob. Breakers: trace inversion (2603.07267) rebuilds a trace from the answer; EchoCoT
(2608.20055) talks the model into repeating it in the open. Deviates: no summary is shown in its place.
Billing is unchanged: hidden tokens are paid for.
"""

from dataclasses import dataclass

from spiritsafe.defense import Defense
from spiritsafe.exchange import Reply, Request


@dataclass
class AnswerOnly(Defense):
    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        return reply.without_reasoning()
