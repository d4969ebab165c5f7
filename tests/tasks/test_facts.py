import re

from spiritsafe.task import Split
from spiritsafe.tasks.facts import Facts
from spiritsafe.tasks.world import EASY_PEOPLE, FACTS, HARD_PEOPLE, TOWNS, TRADES


def test_answers_follow_the_table_hop_by_hop():
    hops = set()
    for level, people in (("easy", EASY_PEOPLE), ("hard", HARD_PEOPLE)):
        for item in Facts(level).items(Split.TEST, 60):
            question = item.messages[0].content
            relations, holder = re.findall(r"the (\w+) of", question), question.split()[-1]
            hops.add(len(relations))
            assert holder in people
            for relation in reversed(relations):
                assert relation == relations[0] or FACTS[holder, relation] in people
                holder = FACTS[holder, relation]
            assert item.answer == holder
            assert holder in {*TOWNS, *TRADES}
    assert hops == {2, 3}
