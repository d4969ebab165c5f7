"""Memorised relations, two or three hops apart."""

from spiritsafe.tasks.procedural import Draft, Level, Procedural
from spiritsafe.tasks.wording import Pen
from spiritsafe.tasks.world import EASY_PEOPLE, FACTS, HARD_PEOPLE, KIN, TOWNS, TRADES

PROMPTS = ("name {}", "tell me {}", "what is {}", "say {}", "give {}", "please name {}")
RANGES = dict.fromkeys(KIN, HARD_PEOPLE) | {"town": TOWNS, "trade": TRADES}


class Facts(Procedural):
    """``the trade of the friend of the tutor of mako``. Base students know the easy people only."""

    name = "facts"

    def draft(self, pen: Pen, level: Level) -> Draft:
        person = pen.pick(EASY_PEOPLE if level == "easy" else HARD_PEOPLE)
        relations = [pen.pick(KIN), pen.pick(KIN), pen.pick(("town", "trade"))]
        relations = relations[pen.rng.randrange(2) :][-pen.length(3) :]
        core = " of ".join(["the " + relation for relation in reversed(relations)] + [person])
        steps, holder = [], person
        for relation in relations:
            found = pen.outcome(FACTS[holder, relation], RANGES[relation])
            steps.append(((f"{relation} of {holder}", f"{holder} {relation}"), found))
            holder = found
        return Draft(core, pen.pick(PROMPTS).format(core), pen.steps(steps), f"answer {holder}", holder)
