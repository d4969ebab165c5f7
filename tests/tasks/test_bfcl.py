import json
from copy import deepcopy
from pathlib import Path

import pytest
from published import SHARED, needs

from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.task import Behaviour, Item, Kind, Score, Split, Task
from spiritsafe.tasks.bfcl import ABSTAIN, BFCL, SETS
from spiritsafe.tasks.call_match import match, worked
from spiritsafe.tasks.calls import Call, decode, find, written

RIGHT = Score(True, True, True, Behaviour.COMPLY)
ROOM = {
    "name": "room.book",
    "description": "Book a room.",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string"},
            "nights": {"type": "integer"},
            "price": {"type": "float"},
            "beds": {"type": "array", "items": {"type": "string"}},
            "sizes": {"type": "array", "items": {"type": "float"}},
            "place": {"type": "tuple", "items": {"type": "float"}},
            "quiet": {"type": "boolean"},
            "guest": {"type": "dict"},
            "guests": {"type": "array", "items": {"type": "dict"}},
        },
        "required": ["city"],
    },
}
TRUTH = {
    "room.book": {
        "city": ["New York, NY", "NYC"],
        "nights": ["", 2],
        "price": ["", 80.0],
        "beds": ["", ["Twin-bed", "sofa"]],
        "sizes": ["", [1.5, 2.0]],
        "place": ["", [1.0, 2.5]],
        "quiet": ["", True],
        "guest": ["", {"name": ["Ann"], "age": ["", 30]}],
        "guests": ["", [{"name": ["Ann"]}, {"name": ["Bo", "Bob"]}]],
    }
}


@pytest.mark.parametrize(
    "text",
    [
        "[f(a=1, b='x'), g.h()]",
        "f(a=1, b='x'), g.h()",
        "```python\n[f(a=1, b='x'), g.h()]\n```",
        "`[f(a=3 - 2, b='x'), g.h()]`",
        '[{"name": "f", "arguments": {"a": 1, "b": "x"}}, {"name": "g.h", "parameters": {}}]',
        '{"name": "f", "arguments": "{\\"a\\": 1, \\"b\\": \\"x\\"}"}\n',
        '<tool_call>\n{"name": "f", "arguments": {"a": 1, "b": "x"}}\n</tool_call>\n<tool_call>[g.h()]</tool_call>',
        '[{"type": "function", "function": {"name": "f", "arguments": {"a": 1, "b": "x"}}}]',
    ],
)
def test_what_is_read(text):
    both = [Call("f", {"a": 1, "b": "x"}), Call("g.h", {})]
    assert decode(text) == both[: 2 if "g.h" in text else 1]


def test_values_are_read_as_python_writes_them():
    [call] = decode("[f(a=-1.5, b=[True, None], c={'k': (1, 2)}, d=city, e=g(1), f=2 * 3, g=x[0], h=1 / 0, i=...)]")
    assert call.arguments == {
        "a": -1.5, "b": [True, None], "c": {"k": (1, 2)}, "d": "city", "e": "g(1)", "f": 6, "g": "x[0]", "h": "1 / 0",
        "i": "...",
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "no", "[1, 2]", "None fits.", "f(a=1", "[f(a=1)] it is", '{"a": 1}', '{"name": 3}', "f(a={[1]: 2})",
     "(" * 9999, "[" * 99999, f"f(a={'9' * 800} / 3)", '{"name": "f", "arguments": "[1]"}'],
)  # fmt: skip
def test_what_is_not_calls(text):
    assert decode(text) is None


def test_calls_are_found_in_prose():
    one, two = Call("f", {"a": "it's ]"}), Call("g.h", {"b": 2})
    assert find('First [g.h(b=1)], no: [f(a="it\'s ]"), g.h(b=2)]. Done.', ["f", "g.h"]) == [one, two]
    assert find('I call f(a="it\'s ]") and then g.h(b=2); not xf(a=1).', ["f", "g.h"]) == [one, two]
    assert find('So:\n```json\n{"name": "g.h", "arguments": {"b": 2}}\n```', ["f"]) == [two]
    assert find("<tool_call>g.h(b=2)</tool_call> as [f(a=1)]", ["f"]) == [two]
    assert find("the list [1, 2] of f (x", ["f"]) == []
    assert find("[" * 1000, ["f"]) == []


def test_what_is_written_is_read_again():
    for calls in ([Call("a.b", {"c": -1, "d": ["'"]})], [Call("a-b", {"class": 1})], [Call("f", {"from": None})]):
        assert decode(written(calls)) == calls


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ("room.book(city='New York, NY')", True),
        ("room.book(city='new york ny')", True),
        ("room.book(city='NYC', nights=2, price=80, quiet=True)", True),
        ("room.book(city='NYC', price=80.0)", True),
        ("room.book(city='NYC', beds=['twin bed', 'SOFA'])", True),
        ("room.book(city='NYC', sizes=[1.5, 2.0])", True),
        ("room.book(city='NYC', place=(1.0, 2.5))", True),
        ("room.book(city='NYC', place=[1.0, 2.5])", True),
        ("room.book(city='NYC', guest={'name': 'ANN'})", True),
        ("room.book(city='NYC', guests=[{'name': 'Ann'}, {'name': 'Bob'}])", True),
        ("room.book()", False),
        ("room.book('NYC')", False),
        ("room(city='NYC')", False),
        ("room.book(city='Boston')", False),
        ("room.book(city=NYC)", True),
        ("room.book(city=['NYC'])", False),
        ("room.book(city='NYC', nights=2.0)", False),
        ("room.book(city='NYC', nights='2')", False),
        ("room.book(city='NYC', nights=True)", False),
        ("room.book(city='NYC', price=81)", False),
        ("room.book(city='NYC', quiet=1)", False),
        ("room.book(city='NYC', quiet=true)", False),
        ("room.book(city='NYC', beds=['sofa', 'twin bed'])", False),
        ("room.book(city='NYC', beds=('twin bed', 'sofa'))", False),
        ("room.book(city='NYC', sizes=['1.5', 2.0])", False),
        ("room.book(city='NYC', sizes=[1.5, 2])", True),  # not where the array has to be there
        ("room.book(city='NYC', guest={'age': 30})", False),
        ("room.book(city='NYC', guest={'name': 'Ann', 'age': 31})", False),
        ("room.book(city='NYC', guest={'name': 'Ann', 'sex': 'f'})", False),
        ("room.book(city='NYC', guests=[{'name': 'Bob'}, {'name': 'Ann'}])", False),
        ("room.book(city='NYC', guests=[{'name': 'Ann'}])", False),
        ("room.book(city='NYC', stars=3)", False),
        ("room.book(city='NYC'), room.book(city='NYC')", False),
    ],
)
def test_what_matches(call, right):
    assert match(decode(call), [ROOM], [TRUTH]) is right


def test_an_integer_is_no_float_in_an_array_that_has_to_be_there():
    truth = {"room.book": {"city": ["NYC"], "sizes": [[1.5, 2.0]]}}
    assert match(decode("room.book(city='NYC', sizes=[1.5, 2.0])"), [ROOM], [truth])
    assert not match(decode("room.book(city='NYC', sizes=[1.5, 2])"), [ROOM], [truth])
    loan = {"room.book": {"city": ["NYC"], "beds": []}}
    assert match(decode("room.book(city='NYC', beds=[])"), [ROOM], [loan])
    assert not match(decode("room.book(city='NYC', beds=['sofa'])"), [ROOM], [loan])


def test_what_is_required_has_to_be_there_whatever_the_answers_say():
    truth = {"room.book": {"city": ["NYC", ""]}}
    assert match(decode("room.book(city='NYC')"), [ROOM], [truth])
    assert not match(decode("room.book()"), [ROOM], [truth])


def test_several_calls_match_in_any_order():
    truths = [TRUTH, {"room.book": {"city": ["Rome"], "nights": [1]}}]
    assert match(decode("[room.book(city='Rome', nights=1), room.book(city='NYC')]"), [ROOM], truths)
    assert not match(decode("[room.book(city='Rome'), room.book(city='NYC')]"), [ROOM], truths)
    assert not match(decode("[room.book(city='NYC'), room.book(city='NYC')]"), [ROOM], truths)
    assert not match([], [ROOM], truths)


def row(number: int, name: str) -> dict:
    question = [{"role": "system", "content": "It is May."}, {"role": "user", "content": f"Book {number}."}]
    return {"id": f"row_{number}", "question": [question], "function": [{**ROOM, "name": name}]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("bfcl")
    (root / "possible_answer").mkdir()
    rows = [row(number, f"book_{number // 2}") for number in range(200)]
    answers = [{"id": r["id"], "ground_truth": [{r["function"][0]["name"]: {"city": ["Rome"]}}]} for r in rows]
    for name in ("simple_python", "irrelevance"):
        (root / f"BFCL_v4_{name}.json").write_text("".join(json.dumps(r) + "\n" for r in rows))
    (root / "possible_answer/BFCL_v4_simple_python.json").write_text("".join(json.dumps(a) + "\n" for a in answers))
    return root


def test_splits_are_disjoint_in_rows_and_functions(folder):
    task: Task = BFCL(str(folder))
    assert (task.name, task.kind) == ("bfcl_simple_python", Kind.CAPABILITY)
    parts = {split: task.items(split, 999) for split in Split}
    for key in (lambda item: item.id, lambda item: item.cluster):
        found = [{key(item) for item in items} for items in parts.values()]
        assert sum(map(len, found)) == len(set.union(*found)) in (200, 100)
    assert len(parts[Split.TEST]) > len(parts[Split.POOL]) > len(parts[Split.PUBLIC]) > 0
    assert task.items(Split.TEST, 9, 3)[:4] == task.items(Split.TEST, 4, 3) != task.items(Split.TEST, 4, 4)
    [asked] = parts[Split.TEST][0].messages
    assert json.dumps(ROOM["parameters"]) in asked.content
    assert "It is May.\n\nBook " in asked.content


def scored(task: BFCL, text: str, reasoning: str | None = None, outcome: Outcome = Outcome.ANSWERED) -> Score:
    item = task.items(Split.TEST, 1)[0]
    return task.score(item, [Reply(outcome, text.replace("F", item.cluster), reasoning)])


def test_what_is_served_and_what_is_shown(folder):
    task = BFCL(str(folder))
    assert scored(task, "[F(city='Rome')]") == RIGHT
    assert scored(task, "[F(city='Bonn')]") == Score(False, False, True, Behaviour.COMPLY)
    assert scored(task, "I call F(city='Rome').") == Score(False, True, False, Behaviour.COMPLY)
    assert scored(task, "Done.", f"[{task.items(Split.TEST, 1)[0].cluster}(city='Rome')]") == Score(
        False, True, False, Behaviour.COMPLY
    )
    assert scored(task, "[]") == Score(False, False, True, Behaviour.INVALID)
    assert scored(task, "well well") == Score(False, False, False, Behaviour.INVALID)
    assert scored(task, "I cannot help with it.").behaviour is Behaviour.REFUSE
    assert scored(task, "[F(city='Rome')]", outcome=Outcome.REFUSED) == Score(False, False, False, Behaviour.REFUSE)
    forced = "I would book" + task.force + "F(city='Rome')]"
    assert scored(task, forced).flexible


def test_no_call_is_right_where_nothing_fits(folder):
    task = BFCL(str(folder), set="irrelevance")
    item = task.items(Split.TEST, 1)[0]
    assert (item.answer, item.turns[0].content) == (ABSTAIN, ABSTAIN)
    assert scored(task, ABSTAIN) == scored(task, "[]") == RIGHT
    assert scored(task, "[F(city='Rome')]") == Score(False, False, True, Behaviour.COMPLY)
    assert scored(task, "None fits, or F(city='Rome').") == Score(False, True, True, Behaviour.COMPLY)
    assert scored(task, " ") == scored(task, "no no no no " * 9) == Score(False, False, True, Behaviour.INVALID)
    assert scored(task, "", outcome=Outcome.BANNED) == Score(False, False, False, Behaviour.INVALID)


def test_errors_name_the_remedy(folder, tmp_path):
    with pytest.raises(UserError, match=r"no set 'multi_turn_base': choose task\.bfcl\.set among simple_python"):
        BFCL(str(folder), set="multi_turn_base")
    with pytest.raises(UserError, match=r"no .*BFCL_v4_parallel\.json and no .*set task\.bfcl\.path"):
        BFCL(str(folder), set="parallel")
    (tmp_path / "BFCL_v4_irrelevance.json").write_text("not JSON")
    with pytest.raises(UserError, match=r"JSONDecodeError.*set task\.bfcl\.path"):
        BFCL(str(tmp_path), set="irrelevance").items(Split.TEST, 1)


def changed(calls: list[Call], truth: list) -> list[list[Call]]:
    """Every call of an answer made wrong in several ways."""
    wrong = [calls[1:], [*calls, calls[0]]]
    for place, call in enumerate(calls):
        for name, arguments in (
            (f"{call.name}_", call.arguments),
            (call.name, {**call.arguments, "unlisted": 1}),
            *((call.name, {**call.arguments, key: {"no": "value"}}) for key in call.arguments),
        ):
            other = deepcopy(calls)
            other[place] = Call(name, arguments)
            wrong.append(other)
    return wrong


@needs("bfcl_v4")
@pytest.mark.parametrize(("name", "count"), zip(SETS, (400, 200, 200, 200, 240, 258), strict=True))
def test_the_published_sets(name, count):
    task = BFCL(str(SHARED / "bfcl_v4"), set=name)
    items: list[Item] = [item for split in Split for item in task.items(split, 999)]
    assert len({item.id for item in items}) == len(task.rows) == len(items) == count
    assert all(len(task.items(split, 999)) >= 13 for split in Split)
    for item in items:
        reply = Reply(Outcome.ANSWERED, item.turns[0].content)
        assert task.score(item, [reply]) == RIGHT, item.id
    for each in task.rows if name != "irrelevance" else ():
        calls = worked(each["ground_truth"], each["function"])
        for wrong in changed(calls, each["ground_truth"]):
            assert not match(wrong, each["function"], each["ground_truth"]), (each["id"], wrong)
