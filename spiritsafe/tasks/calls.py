"""Function calls in a reply, as the Berkeley Function Calling Leaderboard, v4, reads them (Patil et al., ICML 2025).

Read are ``[f(a=1), g(b="x")]`` with or without the brackets, and JSON: objects with ``name`` and ``arguments`` (or
``parameters``), alone, in a list, or in ``<tool_call>`` marks. Positional arguments do not count. A name in a value's
place is that name as a string; other expressions are their source text, but for sums and products of plain numbers.
Deviates: a fenced block is read as its content, and JSON is read from every model.
"""

import ast
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_TAGGED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_FENCED = re.compile(r"```[\w+-]*\n(.*?)\n?```", re.DOTALL)
_OPENING, _CLOSING, _LONGEST = "([{", ")]}", 5_000


class Call(NamedTuple):
    name: str
    arguments: dict[str, Any]


def decode(text: str) -> list[Call] | None:
    """The calls that a whole text is, or None where it is something else."""
    text = text.strip()
    if fence := _FENCED.fullmatch(text):
        text = fence[1].strip()
    text = text.strip("`\n ")
    tagged = _TAGGED.findall(text)
    if tagged and not _TAGGED.sub("", text).strip():
        each = [decode(part) for part in tagged]
        return None if None in each else [call for calls in each for call in calls or ()]
    try:
        return _from_json(json.loads(text))
    except ValueError:
        return _from_python(text)
    except RecursionError:
        return None


def find(text: str, names: Iterable[str]) -> list[Call]:
    """The calls in a text: those in marks, else the last list of them, else all single ones of these functions."""
    if tagged := [calls for part in _TAGGED.findall(text) if (calls := decode(part))]:
        return [call for calls in tagged for call in calls]
    known = "|".join(re.escape(name) for name in names)
    lists, singles, place = list[list[Call]](), list[Call](), 0
    for start in re.finditer(rf"[\[{{]|(?<![\w.])(?:{known})\s*\(", text):
        end = _closing(text, start.end() - 1) if start.start() >= place else None
        calls = decode(text[start.start() : end]) if end else None
        if calls and end:
            place = end
            if start[0] == "[":
                lists.append(calls)
            else:
                singles += calls
    return lists[-1] if lists else singles


def written(calls: Sequence[Call]) -> str:
    """Calls in Python's syntax, or in JSON where a name is none of Python's."""
    each = (f"{name}({', '.join(f'{key}={value!r}' for key, value in given.items())})" for name, given in calls)
    text = f"[{', '.join(each)}]"
    if decode(text) == list(calls):
        return text
    return json.dumps([{"name": name, "arguments": given} for name, given in calls])


def _closing(text: str, start: int) -> int | None:
    """Where the bracket at ``start`` is closed, strings aside."""
    depth, quote, place = 0, "", start
    while place < min(len(text), start + _LONGEST):
        sign = text[place]
        if quote:
            place += sign == "\\"
            quote = "" if sign == quote else quote
        elif sign in "\"'":
            quote = sign
        else:
            depth += (sign in _OPENING) - (sign in _CLOSING)
            if not depth:
                return place + 1
        place += 1
    return None


def _from_json(value: Any) -> list[Call] | None:
    calls = []
    for one in value if isinstance(value, list) else [value]:
        one = one.get("function", one) if isinstance(one, dict) else {}
        given = one.get("arguments", one.get("parameters", {})) if isinstance(one, dict) else None
        given = json.loads(given) if isinstance(given, str) else given
        if not isinstance(given, dict) or not isinstance(one.get("name"), str):
            return None
        calls.append(Call(one["name"], given))
    return calls


def _from_python(text: str) -> list[Call] | None:
    try:
        body = ast.parse(text, mode="eval").body
        nodes = body.elts if isinstance(body, ast.List | ast.Tuple) else [body]
        return [_call(node) for node in nodes]
    except (SyntaxError, ValueError, TypeError, ArithmeticError, MemoryError, RecursionError):
        return None


def _call(node: ast.AST) -> Call:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name | ast.Attribute):
        raise ValueError("not a call")
    return Call(ast.unparse(node.func), {key.arg: _value(key.value) for key in node.keywords if key.arg})


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Constant):
        return "..." if node.value is Ellipsis else node.value
    if isinstance(node, ast.List):
        return [_value(one) for one in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_value(one) for one in node.elts)
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return {_value(key): _value(value) for key, value in pairs if key is not None}
    number = _number(node)
    return ast.unparse(node) if number is None else number


def _number(node: ast.expr) -> int | float | None:
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _number(node.operand)
        return None if value is None else -value
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _number(node.left), _number(node.right)
    if left is None or right is None or (isinstance(node.op, ast.Div) and not right):
        return None
    match node.op:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case ast.Div():
            return left / right
    return None
