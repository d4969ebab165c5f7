"""Agentic look-ups over several turns: know which tool holds a relation, call it, read the observation, go on."""

import re
from collections.abc import Sequence
from dataclasses import replace
from random import Random

from spiritsafe.exchange import Message, Reply
from spiritsafe.task import Item
from spiritsafe.tasks.procedural import Draft, Level, Procedural
from spiritsafe.tasks.wording import Pen, completion
from spiritsafe.tasks.world import CLOCK, EASY_PEOPLE, EASY_RELATIONS, HARD_PEOPLE, HARD_RELATIONS, TOOLS

HOPS = 2
PROMPTS = ("look up {}", "find {}", "use the tools to find {}")
_CALL = re.compile(r"call (\w+) (\w+)")


class Tools(Procedural):
    """``look up the badge of the owner of mako``: two calls, then the answer. Observations are drawn for each item, so
    nothing but the calls can give the answer."""

    name = "tools"

    def draft(self, pen: Pen, level: Level) -> Draft:
        person = pen.pick((*EASY_PEOPLE, *HARD_PEOPLE))
        relations = [pen.pick(EASY_RELATIONS if level == "easy" else HARD_RELATIONS) for _ in range(HOPS)]
        core = " of ".join(["the " + relation for relation in reversed(relations)] + [person])
        prompt = pen.pick(PROMPTS).format(core)
        return Draft(core, prompt, *self._turn(pen, relations[0], person), answer="")

    @staticmethod
    def _turn(pen: Pen, relation: str, holder: str) -> tuple[str, str]:
        tool = pen.outcome(TOOLS[relation], tuple(TOOLS.values()))
        wordings = (f"{relation} of {holder}", f"{holder} {relation}")
        return pen.step(wordings, tool, first=True), f"call {tool} {holder}"

    def finish(self, draft: Draft, name: str, level: Level, pen: Pen) -> Item:
        item = super().finish(draft, name, level, pen)
        words = draft.core.replace("the ", "").split(" of ")
        holder, relations = words[-1], words[-2::-1]
        truth = Random(f"observations/{draft.prompt}")
        observations: dict[str, str] = {}
        turns = list(item.turns)
        for index, relation in enumerate(relations):
            if index:
                turns.append(Message("assistant", completion(*self._turn(pen, relation, holder))))
            seen = str(truth.randrange(CLOCK))
            observations[f"call {TOOLS[relation]} {holder}"] = seen
            turns.append(Message("tool", seen))
            holder = seen
        last = f"{pen.pick(('so', 'now'))} {holder} is it {pen.pick(('.', ';'))}"
        turns.append(Message("assistant", completion(last, f"answer {holder}")))
        return replace(item, answer=holder, turns=tuple(turns), meta={"observations": observations})

    def observe(self, item: Item, replies: Sequence[Reply]) -> Message | None:
        """What the called tool says; an unknown call gets ``nothing``. Episodes end with an answer or the last hop."""
        called = _CALL.search(replies[-1].text)
        if called is None or len(replies) > HOPS:
            return None
        return Message("tool", item.meta["observations"].get(called[0], "nothing"))
