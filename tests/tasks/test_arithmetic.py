import re

from world_checks import HOURS

from spiritsafe.task import Split
from spiritsafe.tasks.arithmetic import Arithmetic, plus, times
from spiritsafe.tasks.world import CLOCK


def test_answers_are_plain_sums_and_products_from_left_to_right():
    for level in ("easy", "hard"):
        for split in Split:
            for item in Arithmetic(level).items(split, 60):
                first, rest = re.search(r"(\d+)((?: (?:times|plus) \d+)+)$", item.messages[0].content).groups()
                value = int(first)
                for word, term in re.findall(r"(times|plus) (\d+)", rest):
                    value = value * int(term) if word == "times" else value + int(term)
                assert item.answer == str(value % CLOCK)


def test_both_wordings_of_a_step_say_the_same():
    for x in HOURS:
        for k in HOURS:
            assert times(x, k) == ((f"{x} times {k}", f"{k} times {x}"), x * k % CLOCK)
            assert plus(x, k) == ((f"{x} plus {k}", f"{k} plus {x}"), (x + k) % CLOCK)
