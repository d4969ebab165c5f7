"""The ordered table of all exchanges of one campaign, and the shards it grows from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from spiritsafe.errors import UserError
from spiritsafe.exchange import Exchange, Logprobs, Message, Outcome, Reply, Request, Sampling, Usage
from spiritsafe.store.rows import read_rows, write_rows

_IDS, _VALUES = pa.list_(pa.int32()), pa.list_(pa.float64())
_BIAS = pa.list_(pa.struct([pa.field("token", pa.int32()), pa.field("bias", pa.float64())]))

# One row an exchange. Values are doubles so that reading gives exactly what was served. ``messages`` is JSON.
# Null stands for None: no reasoning was shown, no completion was to be scored, no log probabilities were disclosed.
SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("request_id", pa.string(), nullable=False),
        pa.field("messages", pa.string(), nullable=False),
        pa.field("temperature", pa.float64(), nullable=False),
        pa.field("top_p", pa.float64(), nullable=False),
        pa.field("max_tokens", pa.int32(), nullable=False),
        pa.field("stop", pa.list_(pa.string()), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("sample", pa.int32(), nullable=False),
        pa.field("top_logprobs", pa.int32(), nullable=False),
        pa.field("prefill", pa.string(), nullable=False),
        pa.field("score", pa.string()),
        pa.field("logit_bias", _BIAS, nullable=False),
        pa.field("outcome", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("reasoning", pa.string()),
        pa.field("reasoning_tokens", pa.int32(), nullable=False),
        pa.field("token_ids", _IDS, nullable=False),
        pa.field("top_ids", pa.list_(_IDS)),
        pa.field("top_values", pa.list_(_VALUES)),
        pa.field("chosen", _VALUES),
        pa.field("prompt_tokens", pa.int32(), nullable=False),
        pa.field("completion_tokens", pa.int32(), nullable=False),
        pa.field("finish", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("account", pa.string(), nullable=False),
        pa.field("time", pa.float64(), nullable=False),  # simulated, in seconds
        pa.field("task", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("turn", pa.int32(), nullable=False),
        pa.field("purpose", pa.string(), nullable=False),
    ]
)


def write(path: Path, exchanges: Sequence[Exchange]) -> None:
    """Write a transcript, whole or not at all."""
    write_rows(path, [_row(index, exchange) for index, exchange in enumerate(exchanges)], SCHEMA)


def read(path: Path) -> list[Exchange]:
    """Exactly the exchanges that were written, in order."""
    return [_exchange(row) for row in read_rows(path, SCHEMA)]


def write_shard(folder: Path, exchanges: Sequence[Exchange]) -> None:
    """Keep the next exchanges of a campaign that is still going on."""
    write(folder / f"shard-{len(_shards(folder)):05d}.parquet", exchanges)


def read_shards(folder: Path) -> list[Exchange]:
    """The exchanges that a campaign has so far."""
    return [exchange for shard in _shards(folder) for exchange in read(shard)]


def merge(folder: Path, path: Path) -> None:
    """Turn all shards into one transcript, the same whatever their sizes were."""
    write(path, read_shards(folder))
    for shard in reversed(_shards(folder)):  # last first: a process killed here leaves a prefix
        shard.unlink()


def _shards(folder: Path) -> list[Path]:
    found = sorted(folder.glob("shard-*.parquet"))
    if [shard.name for shard in found] != [f"shard-{number:05d}.parquet" for number in range(len(found))]:
        raise UserError(
            f"a shard of the transcript in {folder} is missing: remove the others and run the command again"
        )
    return found


def _row(index: int, exchange: Exchange) -> dict[str, Any]:
    request, reply, logprobs = exchange.request, exchange.reply, exchange.reply.logprobs
    return {
        "index": index,
        "request_id": request.id,
        "messages": json.dumps([asdict(message) for message in request.messages], ensure_ascii=False),
        "temperature": request.sampling.temperature,
        "top_p": request.sampling.top_p,
        "max_tokens": request.sampling.max_tokens,
        "stop": request.sampling.stop,
        "samples": request.samples,
        "sample": exchange.sample,
        "top_logprobs": request.top_logprobs,
        "prefill": request.prefill,
        "score": request.score,
        "logit_bias": [{"token": token, "bias": bias} for token, bias in request.logit_bias],
        "outcome": reply.outcome.value,
        "text": reply.text,
        "reasoning": reply.reasoning,
        "reasoning_tokens": reply.reasoning_tokens,
        "token_ids": reply.token_ids,
        "top_ids": logprobs.ids if logprobs else None,
        "top_values": logprobs.values if logprobs else None,
        "chosen": logprobs.chosen if logprobs else None,
        "prompt_tokens": reply.usage.prompt_tokens,
        "completion_tokens": reply.usage.completion_tokens,
        "finish": reply.finish,
        "reason": reply.reason,
        "account": exchange.account,
        "time": exchange.time,
        "task": exchange.task,
        "item": exchange.item,
        "turn": exchange.turn,
        "purpose": exchange.purpose,
    }


def _exchange(row: dict[str, Any]) -> Exchange:
    request = Request(
        id=row["request_id"],
        messages=tuple(Message(**message) for message in json.loads(row["messages"])),
        sampling=Sampling(row["temperature"], row["top_p"], row["max_tokens"], tuple(row["stop"])),
        samples=row["samples"],
        top_logprobs=row["top_logprobs"],
        prefill=row["prefill"],
        score=row["score"],
        logit_bias=tuple((each["token"], each["bias"]) for each in row["logit_bias"]),
    )
    logprobs = None
    if row["chosen"] is not None:
        logprobs = Logprobs(
            ids=tuple(tuple(ids) for ids in row["top_ids"]),
            values=tuple(tuple(values) for values in row["top_values"]),
            chosen=tuple(row["chosen"]),
        )
    reply = Reply(
        outcome=Outcome(row["outcome"]),
        text=row["text"],
        reasoning=row["reasoning"],
        token_ids=tuple(row["token_ids"]),
        reasoning_tokens=row["reasoning_tokens"],
        logprobs=logprobs,
        usage=Usage(row["prompt_tokens"], row["completion_tokens"]),
        finish=row["finish"],
        reason=row["reason"],
    )
    return Exchange(
        request=request,
        reply=reply,
        account=row["account"],
        time=row["time"],
        sample=row["sample"],
        task=row["task"],
        item=row["item"],
        turn=row["turn"],
        purpose=row["purpose"],
    )
