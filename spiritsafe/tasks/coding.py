"""What programming tasks share: the code in a reply, and whether it does what it should.

*Strict* reads the text as served: the last closed ```` ```python ```` block that defines the wanted name. *Flexible*
reads all that is shown, reasoning too: the last fenced block of any language that defines it, closed or not, else bare
code without fences, its surrounding prose cut off. Both are run with the task's tests in the sandbox; a program counts
that reaches the end of its tests. *Extracted*: a strict block was there. *Forced*: FORCE closes the fence of a reply
that has no strict block; the few tokens after it hold no program, so this is what flexible finds there.
"""

import ast
import gzip
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

from spiritsafe.errors import UserError
from spiritsafe.exchange import Outcome, Reply
from spiritsafe.measures.refusal import behaviour
from spiritsafe.task import Behaviour, Score
from spiritsafe.tasks.sandbox import Ending, Limits, run

FORCE = "\n```\n"
PYTHON = ("python", "py", "python3")
_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+-]*)[^\n]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"(?:def|class|import|from|async|@|[A-Za-z_]\w*\s*=)\b|@")


def fenced(code: str) -> str:
    """A worked answer."""
    return f"```python\n{code.strip()}\n```"


def block(text: str, name: str) -> str | None:
    """The last closed Python block that defines ``name``."""
    closed = (match for match in _FENCE.finditer(text) if match[0].endswith("```"))
    return _last([match[2] for match in closed if match[1].lower() in PYTHON], name)


def anywhere(text: str, name: str) -> str | None:
    """The last fenced block that defines ``name``, of any language, closed or not; else bare code that does."""
    return _last([match[2] for match in _FENCE.finditer(text)], name) or _bare(text, name)


def _last(blocks: Sequence[str], name: str) -> str | None:
    return next((code for block in reversed(blocks) if defines(code := dedent(block), name)), None)


def defines(code: str, name: str) -> bool:
    return re.search(rf"^(?:(?:async )?def|class)\s+{name}\b|^{name}\s*=", code, re.MULTILINE) is not None


def parses(code: str) -> bool:
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def longest(head: str, text: str) -> str | None:
    """``head`` with as many of the first lines of ``text`` as are Python; None where not one is."""
    lines = text.splitlines()[:400]
    for count in range(len(lines), 0, -1):
        code = head + "\n".join(lines[:count])
        if lines[count - 1].strip() and parses(code):
            return code
    return None


def _bare(text: str, name: str) -> str | None:
    lines = text.partition("```")[0].splitlines()
    first = next((place for place, line in enumerate(lines) if _CODE.match(line)), None)
    code = None if first is None else longest("", "\n".join(lines[first:]))
    return code if code and defines(code, name) else None


def candidates(
    reply: Reply, name: str, loose: Callable[[str, str], str | None] = anywhere
) -> tuple[str | None, str | None]:
    """The strict and the flexible code of a reply that should define ``name``; None where there is none."""
    if reply.outcome is not Outcome.ANSWERED:
        return None, None
    return block(reply.text, name), loose("\n".join(filter(None, (reply.reasoning, reply.text))), name)


def judge(reply: Reply, programs: Sequence[tuple[str, ...] | None], limits: Limits) -> Score:
    """Score a reply by its strict and its flexible code, each with the sources around it."""
    if reply.outcome is not Outcome.ANSWERED:
        refused = reply.outcome is Outcome.REFUSED
        return Score(False, False, False, Behaviour.REFUSE if refused else Behaviour.INVALID)
    strict, flexible = (each is not None and run(each, limits) is Ending.PASSED for each in programs)
    served, shown = (each is not None for each in programs)
    return Score(strict, flexible, extracted=served, behaviour=behaviour(reply.text, parsable=shown))


def rows(
    task: str, path: str | None, files: Sequence[str], hub: tuple[str, str | None], columns: Sequence[str]
) -> list[dict[str, Any]]:
    """The published rows of one of ``files`` in the folder ``path``, or of all parts of the hub's set."""
    remedy = f"set task.{task}.path to a folder with {' or '.join(files)}, or to null to read {hub[0]} from the hub"
    try:
        if path is not None:
            file = next(file for name in files if (file := Path(path) / name).is_file())
            found = read(file)
        else:
            from datasets import concatenate_datasets, load_dataset

            found = [dict(row) for row in concatenate_datasets(list(load_dataset(*hub).values()))]
        return [{column: row[column] for column in columns} for row in found]
    except Exception as error:  # files and the hub raise many kinds for one thing: it is not there, or not this
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"task {task} cannot read {path or hub[0]} ({type(error).__name__}: {reason}): {remedy}"
        ) from error


def read(file: Path) -> list[dict[str, Any]]:
    """A file of JSON lines, packed or not, or of one JSON list."""
    content = file.read_bytes()
    text = (gzip.decompress(content) if file.suffix == ".gz" else content).decode("utf-8")
    parsed = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines()]
    return list(parsed)
