"""A table out of a file that the user has: csv, json, jsonl or parquet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spiritsafe.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def read_table(path: str, columns: Sequence[str], what: str) -> pd.DataFrame:
    """The file with every cell as text, "" where empty. ``what`` names it in a message: "the path of task harmful".

    Raises where there is no such file, where it is none of these formats, and where one of ``columns`` is missing.
    """
    import pandas as pd

    readers: dict[str, Callable[..., Any]] = {
        ".csv": lambda file: pd.read_csv(file, dtype=str, keep_default_na=False),
        ".json": lambda file: pd.DataFrame(pd.read_json(file, dtype=False)),
        ".jsonl": lambda file: pd.read_json(file, dtype=False, lines=True),
        ".parquet": pd.read_parquet,
    }
    file = Path(path)
    if not file.is_file() or file.suffix not in readers:
        raise UserError(
            f"there is no file {path!r} in one of the formats {', '.join(readers)}: give one as {what}"
            if file.suffix in readers or not file.exists()
            else f"{path!r} is none of {', '.join(readers)}: give such a file as {what}"
        )
    try:
        table: pd.DataFrame = readers[file.suffix](file)
    except (ValueError, OSError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"{path!r} cannot be read as {file.suffix[1:]} ({reason}): give another file as {what}"
        ) from error
    if missing := [column for column in columns if column not in table.columns]:
        raise UserError(
            f"{path!r} has no column {' and no '.join(map(repr, missing))}, it has {list(map(str, table.columns))}: "
            f"name its columns in the options beside {what}"
        )
    if table.empty:
        raise UserError(f"{path!r} has no rows: give another file as {what}")
    return table.astype(object).where(table.notna(), "").astype(str)
