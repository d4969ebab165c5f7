import gzip
import json
import subprocess
from pathlib import Path
from random import Random

import datasets
import pytest
from published import SHARED, needs

from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.task import Behaviour, Item, Kind, Score, Split, Task
from spiritsafe.tasks.coding import FORCE, anywhere, block
from spiritsafe.tasks.humaneval import HumanEval
from spiritsafe.tasks.mbpp import MBPP
from spiritsafe.tasks.sandbox import Limits

QUICK = Limits(cpu=1, wall=5)
RIGHT = Score(True, True, True, Behaviour.COMPLY)
PROBLEM = {
    "task_id": "HumanEval/0",
    "prompt": 'from typing import List\n\n\ndef total(numbers: List[int]) -> int:\n    """Add them up."""\n',
    "entry_point": "total",
    "canonical_solution": "    return sum(numbers)\n",
    "test": "def check(candidate):\n    assert candidate([1, 2]) == 3\n    assert candidate([]) == 0\n",
}


def basic(number: int) -> dict:
    return {
        "task_id": number,
        "prompt": "Write a function to double a number.",
        "code": "def helper(n):\n  return n\n\ndef double(n):\n  return 2 * helper(n)",
        "test_imports": ["import math"],
        "test_list": ["assert math.ceil(double(2)) == 4", "assert double(0) == 0"],
    }


@pytest.fixture(scope="module")
def completion(tmp_path_factory) -> HumanEval:
    folder = tmp_path_factory.mktemp("humaneval")
    with gzip.open(folder / "HumanEval.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(PROBLEM | {"task_id": f"HumanEval/{n}"}) + "\n" for n in range(5))
    return HumanEval(str(folder), limits=QUICK)


@pytest.fixture(scope="module")
def basics(tmp_path_factory) -> MBPP:
    folder = tmp_path_factory.mktemp("mbpp")
    (folder / "sanitized-mbpp.json").write_text(json.dumps([basic(number) for number in range(2, 700)]))
    return MBPP(str(folder), limits=QUICK)


def score(task: Task, text: str, reasoning: str | None = None, outcome: Outcome = Outcome.ANSWERED) -> Score:
    return task.score(task.items(Split.TEST, 1)[0], [Reply(outcome, text, reasoning)])


def test_splits_are_disjoint_and_cover_the_set(completion, basics):
    assert [len(completion.items(split, 99)) for split in Split] == [0, 0, 0, 5]
    ids = {split: {item.meta["task_id"] for item in basics.items(split, 999)} for split in Split}
    assert sum(map(len, ids.values())) == len(set.union(*ids.values())) == 698
    assert (ids[Split.TEST], ids[Split.CALIBRATION]) == (set(range(11, 511)), set(range(511, 601)))
    for task in (completion, basics):
        assert (task.kind, task.force) == (Kind.CAPABILITY, FORCE)
        assert task.items(Split.TEST, 5, 3)[:2] == task.items(Split.TEST, 2, 3) != task.items(Split.TEST, 2, 4)


def test_an_item_is_its_own_solution(completion, basics):
    for task in (completion, basics):
        for item in task.items(Split.TEST, 1):
            assert task.score(item, [Reply(Outcome.ANSWERED, item.turns[0].content)]) == RIGHT
            assert task.observe(item, []) is None
    assert "from typing import List" in completion.items(Split.TEST, 1)[0].messages[0].content
    assert "assert double(0) == 0" in basics.items(Split.TEST, 1)[0].messages[0].content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So:\n```python\ndef total(n: List[int]):\n    return sum(n)\n```\nDone.", RIGHT),
        ("```py\ndef total(n): return 9\n```\nor\n```python\ndef total(n): return sum(n)\n```", RIGHT),
        ("1. Add.\n   ```python\n   def total(n):\n       return sum(n)\n   ```", RIGHT),
        ("```python\ntotal = sum\n```\nTry it:\n```python\nprint(total([1]))\n```", RIGHT),
        ("```python\ndef total(n):\n    return sum(n) + 1\n```", Score(False, False, True, Behaviour.COMPLY)),
        ("```python\ndef total(n):\n    return sum(n", Score(False, False, False, Behaviour.COMPLY)),
        ("```python\ndef total(n):\n    return sum(n)", Score(False, True, False, Behaviour.COMPLY)),
        ("```\ndef total(n): return sum(n)\n```", Score(False, True, False, Behaviour.COMPLY)),
        ("It is\ndef total(n):\n    return sum(n)\n\nas I said", Score(False, True, False, Behaviour.COMPLY)),
        ("    return sum(numbers)\n\ndef other(): pass", Score(False, True, False, Behaviour.COMPLY)),
        ("    return len(numbers)", Score(False, False, False, Behaviour.COMPLY)),
        ("I cannot help with that.", Score(False, False, False, Behaviour.REFUSE)),
        ("well well", Score(False, False, False, Behaviour.INVALID)),
        ("", Score(False, False, False, Behaviour.INVALID)),
        ("```python\ndef total(n):\n    raise SystemExit(0)\n```", Score(False, False, True, Behaviour.COMPLY)),
        ("```python\ndef total(n): return 3\nimport os; os._exit(0)\n```", Score(False, False, True, Behaviour.COMPLY)),
        ("```python\ndef total(n):\n    while True: pass\n```", Score(False, False, True, Behaviour.COMPLY)),
    ],
)
def test_what_counts(completion, text, expected):
    assert score(completion, text) == expected


def test_reasoning_and_the_gateway(completion):
    thought = "```python\ndef total(n): return sum(n)\n```"
    assert score(completion, "see above", thought) == Score(False, True, False, Behaviour.COMPLY)
    assert score(completion, thought, outcome=Outcome.REFUSED) == Score(False, False, False, Behaviour.REFUSE)
    assert score(completion, thought, outcome=Outcome.FAILED).behaviour is Behaviour.INVALID


def test_forcing_closes_the_fence():
    code = "def f():\n    return 1\n"
    assert block("```python\n" + code, "f") is None
    assert block("```python\n" + code + FORCE, "f").strip() == code.strip()
    assert anywhere(code + FORCE + "and so on", "f").strip() == code.strip()


def test_many_replies_are_run_side_by_side_and_once(completion, basics, monkeypatch):
    for task in (completion, basics):
        item = task.items(Split.TEST, 1)[0]
        right = item.turns[0].content
        replies = [[Reply(Outcome.ANSWERED, right + f" {n}")] for n in range(2)] + [[Reply(Outcome.BANNED, right)]]
        replies.append(
            [Reply(Outcome.ANSWERED, f"```python\n{item.meta.get('entry_point', 'double')} = {task.name!r}\n```")]
        )
        task.read([(item, each) for each in replies])
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "run", None)
            assert [task.score(item, each).strict for each in replies] == [True, True, False, False]


def test_the_tested_function_is_the_one_wanted(basics):
    item = basics.items(Split.TEST, 1)[0]
    assert item.meta["name"] == "double"
    assert score(basics, "```python\nhelper = abs\n```") == Score(False, False, False, Behaviour.INVALID)
    assert score(basics, "```python\ndouble = lambda n: 2 * n\n```") == RIGHT


def test_errors_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"no HumanEval\.jsonl\.gz in .*set task\.humaneval\.path"):
        HumanEval(str(tmp_path))
    with pytest.raises(UserError, match=r"no sanitized-mbpp\.json in .*set task\.mbpp\.path"):
        MBPP(str(tmp_path))

    def unreachable(*_: object) -> None:
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    for task in (HumanEval(), MBPP()):
        with pytest.raises(UserError, match=rf"reach the hub.*set task\.{task.name}\.path"):
            task.items(Split.TEST, 1)
    (tmp_path / "sanitized-mbpp.json").write_text('[{"task_id": 1}]')
    with pytest.raises(UserError, match=r"KeyError.*set task\.mbpp\.path"):
        MBPP(str(tmp_path)).items(Split.TEST, 1)
    (tmp_path / "sanitized-mbpp.json").write_text(json.dumps([basic(11) | {"test_list": ["assert True"]}]))
    with pytest.raises(UserError, match="is not MBPP"):
        MBPP(str(tmp_path)).items(Split.TEST, 1)


def test_the_hub_is_read_as_the_file_is(basics, monkeypatch):
    parts = {"test": [basic(11), basic(12)], "prompt": [basic(2)]}
    loaded = datasets.DatasetDict({part: datasets.Dataset.from_list(rows) for part, rows in parts.items()})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: loaded)
    assert MBPP().rows == [basic(2), basic(11), basic(12)]


def mutated(item: Item, name: str) -> str:
    """The solution, and then another answer for every call."""
    wrong = f"_right = {name}\ndef {name}(*a, **k):\n    _right(*a, **k)\n    return object()"
    return f"{item.turns[0].content.removesuffix('```')}\n{wrong}\n```"


@pytest.mark.parametrize(
    ("make", "counts", "sample"),
    [
        pytest.param(lambda: HumanEval(str(SHARED / "humaneval")), [0, 0, 0, 164], 12, marks=needs("humaneval")),
        pytest.param(
            lambda: MBPP(str(SHARED / "mbpp_sanitized")), [95, 32, 43, 257], 13, marks=needs("mbpp_sanitized")
        ),
    ],
    ids=["humaneval", "mbpp"],
)
def test_the_published_set(make, counts, sample):
    task = make()
    assert [len(task.items(split, 999)) for split in Split] == counts
    everything = [item for split in Split for item in task.items(split, 999)]
    assert len({item.id for item in everything}) == len(task.rows) == sum(counts)
    for item in Random(0).sample(everything, sample):
        assert task.score(item, [Reply(Outcome.ANSWERED, item.turns[0].content)]) == RIGHT
        name = item.meta.get("entry_point") or item.meta["name"]
        wrong = task.score(item, [Reply(Outcome.ANSWERED, mutated(item, name))])
        assert wrong == Score(False, False, True, Behaviour.COMPLY), item.id
