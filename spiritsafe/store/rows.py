"""Tables with an explicit schema, as parquet that pandas, polars, DuckDB and datasets read."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spiritsafe.errors import UserError
from spiritsafe.store.atomic import replacing


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write a whole table or nothing. The same rows give the same bytes."""
    for row in rows:
        if row.keys() != set(schema.names):
            raise ValueError(
                f"a row of {path.name} has other columns than its schema: {row.keys() ^ set(schema.names)}"
            )
    table = pa.Table.from_pylist(rows, schema=schema)
    with replacing(path) as unfinished:
        pq.write_table(table, unfinished, compression="zstd")


def read_rows(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    """Read a table back. Raises where the file is missing, damaged or of another schema."""
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError as error:
        raise UserError(f"there is no table {path}: run the command that makes it") from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(
            f"the table {path} is damaged\nremove it and run the same command again: rm {shlex.quote(str(path))}"
        ) from error
    if not table.schema.equals(schema):
        raise UserError(f"the table {path} has other columns than this version reads: make it again")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
