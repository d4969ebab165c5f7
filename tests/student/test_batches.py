from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from student_world import examples, student

from spiritsafe.attack import Example
from spiritsafe.errors import UserError
from spiritsafe.exchange import Message
from student.batches import CHUNK, START, Batches

LM = student()


def test_only_completion_tokens_are_targets_each_predicted_from_the_token_before_it() -> None:
    rows = [
        Example((Message("user", "ab"),), "xyz", weight=0.5),
        Example((Message("user", "c"),), "w", prefill="de", weight=2.0),
    ]
    batch = Batches(LM, rows).collate(torch.tensor([1, 0]))
    ids = LM.tokenizer.convert_tokens_to_ids
    assert batch.input_ids.tolist() == [
        [*ids(["<user>", "c", "<assistant>", "d", "e", "w", "<end>"])],
        [*ids(["<user>", "a", "b", "<assistant>", "x", "y", "z"])],
    ]
    assert batch.targets.tokens.tolist() == ids(["w", "<end>", "x", "y", "z", "<end>"])
    assert batch.targets.weights.tolist() == [2.0, 2.0, 0.5, 0.5, 0.5, 0.5]
    read = batch.input_ids.flatten()[batch.positions].tolist()
    assert read == ids(["e", "w", "<assistant>", "x", "y", "z"])


def test_disclosed_token_ids_are_used_as_they_are() -> None:
    [z, end] = LM.tokenizer.convert_tokens_to_ids(["z", "<end>"])
    row = Example((Message("user", "a"),), "zz", token_ids=(z, z))
    one = torch.tensor([0])
    assert Batches(LM, [row]).collate(one).targets.tokens.tolist() == [z, z]  # the teacher had not ended
    assert Batches(LM, [row], same_tokenizer=False).collate(one).targets.tokens.tolist() == [z, z, end]


def test_top_logprobs_stay_with_their_token() -> None:
    rows = [
        Example((Message("user", "a"),), "xy", "", (27, 28), ((27, 5), (28,)), ((-0.5, -1.0), (-0.25,))),
        Example((Message("user", "abc"),), "x", "", (27,), ((6, 27),), ((-2.0, -3.0),)),
    ]
    targets = Batches(LM, rows, top_logprobs=True).collate(torch.tensor([1, 0])).targets
    assert targets.tokens.tolist() == [27, 27, 28]
    assert targets.top_ids is not None
    assert targets.top_logprobs is not None
    assert targets.top_logprobs.tolist() == [[-2.0, -3.0], [-0.5, -1.0], [-0.25, -torch.inf]]
    assert targets.top_ids[:, 0].tolist() == [6, 27, 28]


def test_rows_without_top_logprobs_stand_beside_rows_with_some(caplog: pytest.LogCaptureFixture) -> None:
    shown = Example((Message("user", "a"),), "b", token_ids=(5,), top_ids=((1, 2),), top_logprobs=((-0.5, -1.0),))
    hidden = Example((Message("user", "a"),), "b", token_ids=(5,))
    targets = Batches(LM, [shown, hidden], top_logprobs=True).collate(torch.tensor([0, 1])).targets
    assert targets.top_logprobs is not None
    assert targets.top_logprobs.tolist() == [[-0.5, -1.0], [-torch.inf, -torch.inf]]
    assert not caplog.text
    Batches(LM, [hidden], top_logprobs=True)
    assert "learns from the text alone" in caplog.text


def test_rows_are_cut_at_the_models_length_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    rows = [
        Example((Message("user", "a"),), "b" * 100),
        Example((Message("user", "a" * 100),), "b"),
        Example((Message("user", "a"),), "b"),
    ]
    batches = Batches(LM, rows)
    assert (len(batches), batches.truncated, batches.dropped) == (2, 1, 1)
    assert int(batches.lengths.max()) == 64
    assert "1 of 3 examples were cut" in caplog.text


@pytest.mark.parametrize(
    ("rows", "options", "remedy"),
    [
        ([], {}, "raise the budget"),
        ([Example((Message("user", "a" * 100),), "b")], {}, "longer context"),
        ([Example((Message("user", "a"),), "b", token_ids=(7, 8))], {}, "same_tokenizer=False"),
        ([Example((Message("user", "a"),), "b", token_ids=(5, 99))], {}, "same_tokenizer=False"),
        (
            [
                Example(
                    (Message("user", "a"),), "b", token_ids=(5,), top_ids=((1,), (2,)), top_logprobs=((0.0,), (0.0,))
                )
            ],
            {"top_logprobs": True},
            "a cleaner must cut both",
        ),
        ([Example((Message("user", "a"),), "b")], {"top_logprobs": True, "same_tokenizer": False}, "objective=sft"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused_with_a_remedy(
    rows: list[Example], options: dict[str, bool], remedy: str
) -> None:
    with pytest.raises(UserError, match=remedy):
        Batches(LM, rows, **options)


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 60), batch_size=st.integers(1, 16), seed=st.integers(0, 3))
def test_batches_are_full_and_every_epoch_visits_each_row_once(count: int, batch_size: int, seed: int) -> None:
    batches = Batches(LM, examples(count))
    chunk = batch_size * max(1, min(CHUNK, count // batch_size // 2))
    steps = chunk // batch_size * count  # whole chunks and whole epochs
    order, again = batches.order(batch_size, seed), batches.order(batch_size, seed)
    drawn = [next(order) for _ in range(steps)]
    assert all(torch.equal(rows, next(again)) for rows in drawn)
    assert {len(rows) for rows in drawn} == {batch_size}
    assert torch.bincount(torch.cat(drawn), minlength=count).unique().tolist() == [steps * batch_size // count]


def test_another_seed_is_another_order() -> None:
    batches = Batches(LM, examples(64))
    assert not torch.equal(next(batches.order(8, 0)), next(batches.order(8, 1)))


def test_bucketing_leaves_little_padding() -> None:
    batches = Batches(LM, examples(2048, longest=40))
    lengths = batches.lengths
    order = batches.order(32, 0)
    drawn = [lengths[next(order)] for _ in range(64)]
    padded = sum(int(rows.max()) * len(rows) for rows in drawn)
    assert sum(int(rows.sum()) for rows in drawn) / padded > 0.9


def test_repeating_a_row_does_not_change_its_content() -> None:
    rows = examples(3)
    batches = Batches(LM, [replace(row, weight=float(i)) for i, row in enumerate(rows)])
    batch = batches.collate(torch.tensor([2, 2]))
    assert torch.equal(batch.input_ids[0], batch.input_ids[1])
    assert set(batch.targets.weights.tolist()) == {2.0}


@given(least=st.integers(1, 20), seed=st.integers(0, 20))
def test_cutting_keeps_every_row_and_never_costs_more_than_it_saves(least: int, seed: int) -> None:
    batches = Batches(LM, examples(20))
    rows = next(batches.order(20, seed))
    parts = batches.cut(rows, least, torch.device("cpu"))
    assert torch.equal(torch.cat(list(parts)), rows)
    assert len(parts) >= least

    def padded(cut: Sequence[torch.Tensor]) -> int:
        return sum(len(part) * int(batches.lengths[part].max()) for part in cut)

    assert padded(parts) + START * len(parts) <= padded(rows.tensor_split(least)) + START * least
    assert len(batches.cut(rows, least, torch.device("cuda"))) == least
