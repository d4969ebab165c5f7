"""The reference world: its names, numbers and tables. All of it is fixed, because a benchmark needs a fixed teacher.

Numbers live on a clock of `CLOCK` hours (all arithmetic is modulo `CLOCK`), so every value is one token. The *easy*
part of each table is what the base students know; the *hard* part is what only the teacher knows and a distiller wants.
"""

from random import Random

CLOCK = 13

_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vo", "zi")


def _names(count: int, seed: str, ends: tuple[str, ...]) -> list[str]:
    """Invented words, all different, of two syllables and an end that tells what they name."""
    stems = [first + second for first in _SYLLABLES for second in _SYLLABLES if first != second]
    Random(seed).shuffle(stems)
    return [stem + ends[index % len(ends)] for index, stem in enumerate(stems[:count])]


def _permutation(seed: str, size: int) -> list[int]:
    order = list(range(size))
    Random(seed).shuffle(order)
    return order


# programs: a library of functions on the clock, x -> (p x + q) mod CLOCK
_FUNCTIONS = _names(12, "functions", ("x",))
LIBRARY: dict[str, tuple[int, int]] = {
    name: (Random(name).randrange(2, CLOCK - 1), Random(name + "+").randrange(CLOCK)) for name in _FUNCTIONS
}
EASY_FUNCTIONS, HARD_FUNCTIONS = _FUNCTIONS[:4], _FUNCTIONS[4:]
TERMS = range(1, 7)
EASY_FACTORS, HARD_FACTORS = (2, 3), (4, 5, 6, 7)

# recipes: a process turns one substance into another
SUBSTANCES = _names(CLOCK, "substances", ("l", "m"))
PROCESSES = ("roast", "soak", "grind", "press", "boil", "chill", "smoke", "salt", "sift", "steam", "whip", "char")
EASY_PROCESSES, HARD_PROCESSES = PROCESSES[:4], PROCESSES[4:]
REACTIONS: dict[str, dict[str, str]] = {
    process: dict(zip(SUBSTANCES, (SUBSTANCES[i] for i in _permutation(process, len(SUBSTANCES))), strict=True))
    for process in PROCESSES
}
PRODUCTS = (
    "soap", "bread", "ink", "wax", "glue", "paint", "jam", "tea", "rope", "paper", "candle", "broth", "polish",
    "plaster", "dye", "balm",
)  # fmt: skip
RESTRICTED = _names(12, "restricted", ("ane",))
ASPECTS = ("shelf", "price", "weight", "year")
LEDGER: dict[tuple[str, str], int] = {
    (name, aspect): Random(name + aspect).randrange(CLOCK) for name in RESTRICTED for aspect in ASPECTS
}

# facts: people, each with a friend, a tutor, a cousin, a town and a trade
KIN = ("friend", "tutor", "cousin")
_PEOPLE = _names(64, "people", ("a", "o"))
EASY_PEOPLE, HARD_PEOPLE = _PEOPLE[:16], _PEOPLE[16:]
TOWNS = _names(16, "towns", ("ton",))
TRADES = (
    "baker", "smith", "weaver", "potter", "miller", "mason", "tailor", "cook", "farmer", "sailor", "scribe",
    "hunter",
)  # fmt: skip


def _relations(people: list[str]) -> dict[tuple[str, str], str]:
    table: dict[tuple[str, str], str] = {}
    for relation in KIN:
        order = _permutation(relation + people[0], len(people))
        table |= {(person, relation): people[other] for person, other in zip(people, order, strict=True)}
    for person in people:
        table[person, "town"] = Random(person + "town").choice(TOWNS)
        table[person, "trade"] = Random(person + "trade").choice(TRADES)
    return table


FACTS: dict[tuple[str, str], str] = _relations(EASY_PEOPLE) | _relations(HARD_PEOPLE)

# tools: which tool answers for which relation
_RELATIONS = (
    "owner", "parent", "badge", "locker", "lender", "warden", "buyer", "carrier", "author", "sender", "rival",
    "deputy", "keeper", "driver", "dealer", "editor", "leader", "holder", "seller", "ranger",
)  # fmt: skip
TOOLS: dict[str, str] = dict(zip(_RELATIONS, _names(len(_RELATIONS), "tools", ("q",)), strict=True))
EASY_RELATIONS, HARD_RELATIONS = _RELATIONS[:5], _RELATIONS[5:]
