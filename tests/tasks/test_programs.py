"""Programs against Python: exact integers, one remainder at the end (all operations are linear on the clock)."""

import re
from functools import partial

from hypothesis import example, given
from hypothesis import strategies as st
from world_checks import reply, steps

from spiritsafe.task import Split
from spiritsafe.tasks.programs import Programs, execute
from spiritsafe.tasks.world import CLOCK, LIBRARY

TASK = Programs()
TEST = TASK.items(Split.TEST, 150)
FUNCTIONS = {name: partial(lambda p, q, x: p * x + q, p, q) for name, (p, q) in LIBRARY.items()}


def by_python(program: str) -> int:
    *lines, last = program.split(" ; ")
    values: dict[str, int] = {}
    for line in lines:
        exec(re.sub(r"(\w+) ([a-d])$", r"\1(\2)", line), dict(FUNCTIONS), values)
    return values[last.removeprefix("print ")] % CLOCK


def source(item) -> str:
    prompt = item.messages[0].content
    return prompt[prompt.index("a = ") :]


def kind_of(prompt: str) -> str:
    return "run" if "=>" not in prompt else "complete" if "?" in prompt else "repair"


def of_kind(kind: str) -> list:
    items = [item for item in TEST if kind_of(item.messages[0].content) == kind]
    assert len(items) > 20
    return items


def is_right(item, answer: str) -> bool:
    score = TASK.score(item, [reply(f" answer {answer}")])
    assert score.strict == score.flexible
    assert score.extracted
    return score.strict


@st.composite
def programs(draw) -> str:
    names = st.sampled_from("abcd")
    lines, known = [f"a = {draw(st.integers(0, 40))}"], ["a"]
    for _ in range(draw(st.integers(0, 5))):
        name, number = draw(st.sampled_from(known)), draw(st.integers(0, 40))
        function = draw(st.sampled_from(sorted(LIBRARY)))
        right = draw(st.sampled_from([f"{function} {name}", f"{name} * {number}", f"{name} + {number}", str(number)]))
        known.append(draw(names))
        lines.append(f"{known[-1]} = {right}")
    return " ; ".join([*lines, f"print {draw(st.sampled_from(known))}"])


@given(programs())
def test_programs_do_what_python_does(program):
    assert execute(program) == by_python(program)


WORDS = st.sampled_from([*"abde=+*;(3²", "==", "print", "-3", "07", *sorted(LIBRARY)[:2]])
SOUP = st.lists(WORDS).map(" ".join)


@given(st.one_of(st.text(), SOUP, SOUP.map("a = 5 ; {} ; print a".format)))
@example("a = " + "9" * 5000 + " ; print a")
@example("a = 1 ; a = a * " + "9" * 5000 + " ; print a")
def test_execute_is_total(program):
    printed = execute(program)
    assert printed is None or printed in range(CLOCK)


def test_what_is_no_program_prints_nothing():
    for garbage in (
        "", ";", "print a", "a = 3", "a = 3 ; b", "a = 3 ; print b", "b = a ; print b", "a = b + 1 ; print a",
        "a = 3 ; b = a - 1 ; print b", "a = 3 ; b = a + a ; print b", "a = 3 ; b = a + 1 + 1 ; print b",
        "a = 3 ; b = nofunction a ; print b", "a = 3 ; b = a + ? ; print b", "a = __import__ ; print a",
        "a = 3 print a", "e = 3 ; print e",
    ):  # fmt: skip
        assert execute(garbage) is None, garbage


def test_a_run_prints_what_python_prints():
    for item in of_kind("run"):
        printed = by_python(source(item))
        assert [answer for answer in map(str, range(2 * CLOCK)) if is_right(item, answer)] == [str(printed)]


def test_a_hole_takes_every_operand_that_prints_the_goal_and_no_other():
    for item in of_kind("complete"):
        program, goal = source(item).split(" => ")
        for operand in range(3 * CLOCK):
            assert is_right(item, str(operand)) == (by_python(program.replace("?", str(operand))) == int(goal))
        assert [operand for operand in range(CLOCK) if is_right(item, str(operand))] == [int(item.answer)]
        for garbage in ("?", "x", "d", f"+ {item.answer}", f"{item.answer} + 0", "-1"):
            assert not is_right(item, garbage)


def test_a_repair_is_any_last_line_that_prints_the_goal_and_no_other():
    for item in of_kind("repair")[:20]:
        program, goal = source(item).split(" => ")
        *kept, broken, printing = program.split(" ; ")
        assert not is_right(item, broken)
        before = broken.split()[2]
        candidates = [f"d = {name} {sign} {k}" for name in {"a", before} for sign in "+*" for k in range(2 * CLOCK)]
        candidates += [f"d = {function} {before}" for function in LIBRARY]
        right = [line for line in candidates if by_python(" ; ".join([*kept, line, printing])) == int(goal)]
        assert [line for line in candidates if is_right(item, line)] == right
        assert item.answer in right
        assert len(right) > 1
        assert not is_right(item, f"d = {goal}")  # printing the goal itself mends nothing
        assert not any(is_right(item, line.replace("d", "c", 1)) for line in right)
        assert not any(is_right(item, garbage) for garbage in (item.answer[4:], "d = d + 1", "nothing", goal))


def test_the_last_step_of_every_trace_is_what_the_program_prints():
    for item in TEST:
        assert steps(item)[-1][1] == (source(item).partition(" => ")[2] or item.answer)
