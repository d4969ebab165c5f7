"""What the tasks rely on, whatever the names and numbers."""

from spiritsafe.tasks import world


def test_every_word_names_one_thing():
    groups = (
        world.LIBRARY, world.SUBSTANCES, world.PROCESSES, world.PRODUCTS, world.RESTRICTED, world.ASPECTS,
        world.EASY_PEOPLE, world.HARD_PEOPLE, world.TOWNS, world.TRADES, world.TOOLS, world.TOOLS.values(),
        ("friend", "tutor", "town", "trade"),
    )  # fmt: skip
    words = [word for group in groups for word in group]
    assert len(words) == len({*words})
    assert all(word.isalpha() and word.islower() for word in words)


def test_the_easy_and_the_hard_part_have_nothing_in_common():
    for easy, hard in (
        (world.EASY_FACTORS, world.HARD_FACTORS),
        (world.EASY_FUNCTIONS, world.HARD_FUNCTIONS),
        (world.EASY_PROCESSES, world.HARD_PROCESSES),
        (world.EASY_PEOPLE, world.HARD_PEOPLE),
        (world.EASY_RELATIONS, world.HARD_RELATIONS),
    ):
        assert easy
        assert hard
        assert not {*easy} & {*hard}
    assert {*world.EASY_FUNCTIONS, *world.HARD_FUNCTIONS} == {*world.LIBRARY}
    assert {*world.EASY_PROCESSES, *world.HARD_PROCESSES} == {*world.REACTIONS}
    assert {*world.EASY_RELATIONS, *world.HARD_RELATIONS} == {*world.TOOLS}


def test_functions_and_reactions_lose_nothing_and_are_all_different():
    hours = range(world.CLOCK)
    tables = [tuple((p * x + q) % world.CLOCK for x in hours) for p, q in world.LIBRARY.values()]
    assert all(sorted(table) == [*hours] for table in tables)
    assert len({*tables}) == len(tables)
    reactions = [tuple(table[before] for before in world.SUBSTANCES) for table in world.REACTIONS.values()]
    assert all(sorted(table) == sorted(world.SUBSTANCES) for table in reactions)
    assert len({*reactions}) == len(reactions)


def test_hops_between_people_stay_on_their_level():
    for people in (world.EASY_PEOPLE, world.HARD_PEOPLE):
        for relation in ("friend", "tutor"):
            assert {world.FACTS[person, relation] for person in people} == {*people}
        assert {world.FACTS[person, "town"] for person in people} <= {*world.TOWNS}
        assert {world.FACTS[person, "trade"] for person in people} <= {*world.TRADES}
