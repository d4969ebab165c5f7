"""From what was harvested to what a student trains on."""

from collections.abc import Sequence

from spiritsafe.attack import Example
from spiritsafe.exchange import Exchange, Outcome


def to_examples(exchanges: Sequence[Exchange]) -> list[Example]:
    """One row for each answered sample, in order. Calls that were refused, throttled, banned or failed, calls that came
    back empty, and calls that scored, judged or probed teach nothing and make no row."""
    rows = []
    for exchange in exchanges:
        request, reply = exchange.request, exchange.reply
        if reply.outcome is not Outcome.ANSWERED or not reply.completion or exchange.purpose != "harvest":
            continue
        logprobs = reply.logprobs
        rows.append(
            Example(
                messages=request.messages,
                completion=reply.completion,
                token_ids=reply.token_ids,
                top_ids=logprobs.ids if logprobs else (),
                top_logprobs=logprobs.values if logprobs else (),
            )
        )
    return rows
