import pytest
import torch
from defense_fakes import FakePreparation
from retrained_fakes import thinker

from defenses.primitives.lessons import Lessons, reasoning_span
from spiritsafe.attack import Example
from spiritsafe.exchange import Message


def test_what_is_learned_is_the_completion(teacher):
    traces = FakePreparation(teacher).traces(7)
    lessons = Lessons(teacher, traces)
    lesson = lessons.lesson([4, 0, 2])
    expected = [token for row in (4, 0, 2) for token in traces[row].token_ids]
    assert lesson.targets.tolist() == expected
    for row, number in enumerate((4, 0, 2)):
        whole = [*teacher.prompt_ids(traces[number].messages), *traces[number].token_ids]
        assert lesson.inputs["input_ids"][row, : len(whole)].tolist() == whole
        assert lesson.inputs["attention_mask"][row].sum() == len(whole)
    logits = teacher.model(**lesson.inputs).logits
    first = len(teacher.prompt_ids(traces[4].messages)) - 1
    assert torch.equal(lesson.at_targets(logits)[0], logits[0, first])


def test_text_stands_in_for_ids_that_are_not_known(teacher):
    trace = Example((Message("user", "w1"),), "w4 w5")
    assert Lessons(teacher, [trace]).completions == [teacher.completion_ids("w4 w5")]


@pytest.mark.parametrize(
    ("completion", "prefill", "expected"),
    [
        ("<think> w1 w2 </think> w3", "", ["w1", "w2"]),
        ("<think> w1 w2", "", ["w1", "w2"]),
        ("w1 w2 </think> w3", "<think>", ["w1", "w2"]),
        ("w1 w2", "<think> w5 </think>", []),
        ("<think> </think> w3", "", []),
        ("w1 w2", "", []),
    ],
)
def test_reasoning_stands_between_the_marks(completion, prefill, expected):
    model = thinker()
    ids = model.completion_ids(completion)
    start, end = reasoning_span(model, ids, prefill)
    assert model.decode(ids[start:end]).split() == expected
    mask = Lessons(model, [Example((Message("user", "w9"),), completion, prefill)]).reasoning[0]
    assert mask.nonzero().flatten().tolist() == list(range(start, end))


def test_a_token_that_spells_a_part_of_a_mark_belongs_to_the_mark():
    pieces = ["<thi", "nk>a", "b", "c</think>", "d"]

    class Spelled:
        def decode(self, ids):
            return "".join(pieces[token] for token in ids)

    assert reasoning_span(Spelled(), range(5)) == (2, 3)


def test_batches_hold_every_trace_once(teacher):
    traces = FakePreparation(teacher).traces(7)
    found = [token for lesson in Lessons(teacher, traces).batches(3) for token in lesson.targets.tolist()]
    assert found == [token for trace in traces for token in trace.token_ids]
