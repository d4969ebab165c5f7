"""No prefill: the beginning that a caller wrote for the assistant is dropped, and the model begins its answer itself.

Industry practice; Libon et al., arXiv 2606.25059, count prefill among the interface fields of the threat model, since
one word of it undoes antidistillation sampling. Defaults: none, there is no knob. Breakers: asking in the user's own
words for an answer that begins so; a forged assistant turn earlier in the conversation. Deviates: dropped in silence,
where an API may answer with an error, so a caller who trusts the prefill keeps it in its training row. Scoring a given
completion stays possible: interface.scoring closes that.
"""

from dataclasses import dataclass, replace

from spiritsafe.defense import Defense
from spiritsafe.exchange import Request


@dataclass
class NoPrefill(Defense):
    def rewrite_request(self, request: Request) -> Request:
        return replace(request, prefill="") if request.prefill else request
