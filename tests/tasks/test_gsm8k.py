import json
from pathlib import Path

import datasets
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.task import Behaviour, Kind, Score, Split, Task
from spiritsafe.tasks.gsm8k import GSM8K

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "gsm8k"


def write(folder: Path, train: int = 108, test: int = 7) -> str:
    for part, count in (("train", train), ("test", test)):
        rows = (
            {
                "question": f"What is {part} {i}? ",
                "answer": f"It is <<{i}+1000={i + 1000}>>{i + 1000}.\n#### {i + 1000:,}",
            }
            for i in range(count)
        )
        (folder / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> GSM8K:
    return GSM8K(write(tmp_path_factory.mktemp("gsm8k")))


def test_splits_are_disjoint_and_cover_train_and_test(task: GSM8K) -> None:
    ids = {split: {item.id for item in task.items(split, 10_000)} for split in Split}
    assert sum(len(of_split) for of_split in ids.values()) == len(set.union(*ids.values())) == 100 + 7
    assert {split: len(of_split) for split, of_split in ids.items()} == {
        Split.POOL: 80, Split.PUBLIC: 10, Split.CALIBRATION: 10, Split.TEST: 7,
    }  # fmt: skip
    assert all(item.startswith("gsm8k-test-") == (split is Split.TEST) for split in Split for item in ids[split])


@given(st.integers(0, 90), st.integers(0, 90), st.integers(0, 3))
def test_shorter_lists_are_prefixes(task: GSM8K, first: int, second: int, seed: int) -> None:
    short, long = sorted((first, second))
    assert task.items(Split.POOL, long, seed)[:short] == task.items(Split.POOL, short, seed)


def test_an_item_is_its_own_solution(task: GSM8K) -> None:
    protocol: Task = task
    assert (protocol.name, protocol.kind) == ("gsm8k", Kind.CAPABILITY)
    for item in task.items(Split.TEST, 7):
        [worked] = item.turns
        assert "<<" not in worked.content
        assert "," not in item.answer
        right = task.score(item, [Reply(Outcome.ANSWERED, worked.content)])
        assert right == Score(True, True, True, Behaviour.COMPLY)
        assert task.observe(item, []) is None


def test_what_is_served_and_what_is_shown(task: GSM8K) -> None:
    item = task.items(Split.TEST, 1)[0]

    def score(text: str, reasoning: str | None = None, outcome: Outcome = Outcome.ANSWERED) -> Score:
        return task.score(item, [Reply(outcome, text, reasoning)])

    assert score(f"So {item.answer}.0 it is.") == Score(False, True, False, Behaviour.COMPLY)
    assert score("", f"{item.answer}") == Score(False, True, False, Behaviour.INVALID)
    assert score("#### 3", "4") == Score(False, False, True, Behaviour.COMPLY)
    assert score("I cannot help with 3 of these.") == Score(False, False, False, Behaviour.REFUSE)
    assert score("well well") == Score(False, False, False, Behaviour.INVALID)
    assert score("", outcome=Outcome.REFUSED).behaviour is Behaviour.REFUSE
    assert score("", outcome=Outcome.FAILED).behaviour is Behaviour.INVALID


def test_demonstrations_are_in_no_split(task: GSM8K) -> None:
    shown = GSM8K(task.path, shots=3)
    messages = shown.items(Split.POOL, 1)[0].messages
    assert [message.role for message in messages] == ["user", "assistant"] * 3 + ["user"]
    questions = {item.messages[-1].content for split in Split for item in shown.items(split, 10_000)}
    assert not questions & {message.content for message in messages[:-1]}


def test_errors_name_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"train\.jsonl and no .*test\.jsonl: give a folder"):
        GSM8K(str(tmp_path))
    with pytest.raises(UserError, match="shots"):
        GSM8K(shots=99)

    def unreachable(**_: object) -> None:
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(UserError, match=r"give a folder with train\.jsonl and test\.jsonl"):
        GSM8K().items(Split.TEST, 1)


def test_a_file_of_another_set_is_named(tmp_path: Path) -> None:
    for part in ("train", "test"):
        (tmp_path / f"{part}.jsonl").write_text('{"question": "Why?", "answer": "Because."}\n')
    with pytest.raises(UserError, match="is not GSM8K"):
        GSM8K(str(tmp_path)).items(Split.TEST, 1)


def test_the_published_set() -> None:
    if not (SHARED / "train.jsonl").is_file():
        pytest.skip("GSM8K is not beside this checkout (../shared/data/gsm8k)")
    task = GSM8K(str(SHARED))
    assert (len(task.rows["train"]), len(task.rows["test"])) == (7473, 1319)
    items = task.items(Split.TEST, 2000) + task.items(Split.POOL, 300)
    assert len(items) == 1619
    assert all(task.score(item, [Reply(Outcome.ANSWERED, item.turns[0].content)]).strict for item in items)
