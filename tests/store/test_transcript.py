import os
import tempfile
from pathlib import Path
from typing import get_args, get_type_hints

import pandas
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Logprobs, Message, Outcome, Reply, Request, Sampling, Usage
from spiritsafe.store import transcript
from spiritsafe.store.rows import read_rows, write_rows

text = st.text(max_size=20)
count = st.integers(0, 2**31 - 1)
number = st.floats(allow_nan=False)


def several(strategy: st.SearchStrategy) -> st.SearchStrategy:
    return st.lists(strategy, max_size=3).map(tuple)


def literal(kind: type, field: str) -> st.SearchStrategy:
    return st.sampled_from(get_args(get_type_hints(kind)[field]))


exchanges = st.builds(
    Exchange,
    request=st.builds(
        Request,
        id=text,
        messages=several(st.builds(Message, role=literal(Message, "role"), content=text)),
        sampling=st.builds(Sampling, temperature=number, top_p=number, max_tokens=count, stop=several(text)),
        samples=count,
        top_logprobs=count,
        prefill=text,
        score=st.none() | text,
        logit_bias=several(st.tuples(count, number)),
    ),
    reply=st.builds(
        Reply,
        outcome=st.sampled_from(Outcome),
        text=text,
        reasoning=st.none() | text,
        reasoning_tokens=count,
        token_ids=several(count),
        logprobs=st.none()
        | st.builds(Logprobs, ids=several(several(count)), values=several(several(number)), chosen=several(number)),
        usage=st.builds(Usage, prompt_tokens=count, completion_tokens=count),
        finish=literal(Reply, "finish"),
        reason=text,
    ),
    account=text,
    time=number,
    sample=count,
    task=text,
    item=text,
    turn=count,
    purpose=literal(Exchange, "purpose"),
)


def ask(index: int) -> Exchange:
    logprobs = Logprobs(((3, 4),), ((-0.1, -float("inf")),), (-0.1,))
    reply = Reply(Outcome.ANSWERED, "sí", "weil", 1, (3,), logprobs, Usage(5, 1), "stop")
    return Exchange(Request(f"r{index}", (Message("user", f"{index}?"),)), reply, "a", index / 3, task="facts")


@given(st.lists(exchanges, max_size=4))
@settings(max_examples=60, deadline=None)
def test_round_trip_is_exact(some: list[Exchange]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "transcript.parquet"
        transcript.write(path, some)
        again = transcript.read(path)
    assert again == some
    assert [type(exchange.reply.outcome) for exchange in again] == [Outcome] * len(some)


@given(st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=4))
@settings(max_examples=20, deadline=None)
def test_shards_do_not_show_in_the_transcript(shards: list[list[int]]) -> None:
    flat = [ask(index) for shard in shards for index in shard]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        transcript.write(folder / "whole.parquet", flat)
        for shard in shards:
            transcript.write_shard(folder, [ask(index) for index in shard])
        assert transcript.read_shards(folder) == flat
        transcript.merge(folder, folder / "merged.parquet")
        assert (folder / "merged.parquet").read_bytes() == (folder / "whole.parquet").read_bytes()
        assert sorted(path.name for path in folder.iterdir()) == ["merged.parquet", "whole.parquet"]


def test_every_field_of_an_exchange_is_kept() -> None:
    """A field added to the contracts and forgotten here would be built from its default. Risk is not the caller's."""
    covered = {Request: "messages sampling risk", Reply: "logprobs usage", Exchange: "request reply"}
    leaves = {Sampling: "", Usage: "", Logprobs: ""}
    renamed = {"id": "request_id", "ids": "top_ids", "values": "top_values"}
    for kind, nested in {**covered, **leaves}.items():
        for field in set(get_type_hints(kind)) - set(nested.split()):
            assert renamed.get(field, field) in transcript.SCHEMA.names


def test_others_read_it(tmp_path: Path) -> None:
    transcript.write(tmp_path / "t.parquet", [ask(0), ask(1)])
    table = pandas.read_parquet(tmp_path / "t.parquet")
    assert list(table["index"]) == [0, 1]
    assert list(table["messages"]) == ['[{"role": "user", "content": "0?"}]', '[{"role": "user", "content": "1?"}]']
    assert table["reasoning"][0] == "weil"
    assert list(table["top_values"][0][0]) == [-0.1, -float("inf")]


def test_a_lost_shard_is_seen(tmp_path: Path) -> None:
    for index in range(3):
        transcript.write_shard(tmp_path, [ask(index)])
    (tmp_path / "shard-00001.parquet").unlink()
    with pytest.raises(UserError, match="a shard of the transcript in"):
        transcript.read_shards(tmp_path)


@pytest.mark.parametrize("size", [0, 3, 100, -1])
def test_a_truncated_table_is_reported(tmp_path: Path, size: int) -> None:
    path = tmp_path / "t.parquet"
    transcript.write(path, [ask(0)])
    os.truncate(path, size if size >= 0 else path.stat().st_size + size)
    with pytest.raises(UserError, match=r"damaged\nremove it .*: rm "):
        transcript.read(path)


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no table"):
        transcript.read(tmp_path / "t.parquet")


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    transcript.write(path, [ask(0)])

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left"):
        transcript.write(path, [ask(1)])
    assert transcript.read(path) == [ask(0)]
    assert list(tmp_path.iterdir()) == [path]


ITEMS = pa.schema([pa.field("item", pa.string(), nullable=False), pa.field("strict", pa.bool_())])


def test_rows_round_trip(tmp_path: Path) -> None:
    rows = [{"item": "a", "strict": True}, {"item": "b", "strict": None}]
    write_rows(tmp_path / "items.parquet", rows, ITEMS)
    assert read_rows(tmp_path / "items.parquet", ITEMS) == rows


@pytest.mark.parametrize("row", [{"item": "a"}, {"item": "a", "strict": True, "more": 1}])
def test_rows_with_other_columns_are_not_written(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="other columns"):
        write_rows(tmp_path / "items.parquet", [row], ITEMS)


def test_rows_of_another_schema_are_not_read(tmp_path: Path) -> None:
    write_rows(tmp_path / "items.parquet", [], ITEMS)
    with pytest.raises(UserError, match="other columns"):
        transcript.read(tmp_path / "items.parquet")
