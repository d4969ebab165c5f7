"""Whether calls are the wanted ones: the AST match of the Berkeley Function Calling Leaderboard, v4 (Patil et al., ICML
2025; agrees with bfcl-eval 2026.3.23 on 75,000 changed calls).

A call matches where its function's name is equal, every required parameter is there, and every parameter fits:

- Its type is the declared one: string, integer, float, boolean, array, tuple (a list does too), dict, any (a string).
  An integer does for a float. Elements of an array have exactly the declared type, one level deep, unless the array may
  be missing. In place of these the type of the first allowed value does, of its first element likewise (a variable).
- Its value is one of those allowed. Strings are equal but for case, spaces, and the signs ``,./-_*^``, and either
  quote, also as elements of an array and as values of a dict. A dict has allowed values for each of its keys, in a list
  of dicts at each place.
- A parameter or key that allows "" may be missing; others that are listed may not, and none may be there unlisted.

Several calls are as many as are wanted, in any order; each wanted one takes the first that matches. Deviates: a list of
no allowed values takes an empty list (two rows of live_simple have one, which nothing matches in BFCL).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from spiritsafe.tasks.calls import Call

Truth = Sequence[Mapping[str, Mapping[str, Any]]]  # a function's name to its parameters and the values they may have

TYPES: dict[str, type] = {
    "string": str, "integer": int, "float": float, "boolean": bool, "array": list, "tuple": list, "dict": dict,
    "any": str,
}  # fmt: skip


def match(calls: Sequence[Call], functions: Sequence[Mapping[str, Any]], truth: Truth) -> bool:
    """Whether the calls are the wanted ones. ``functions`` are JSON schemas."""
    known, left = {function["name"]: function for function in functions}, list(calls)
    for wanted in truth:
        ((name, allowed),) = wanted.items()
        fitting = (
            place for place, call in enumerate(left) if call.name == name and _matches(call, known[name], allowed)
        )
        if (place := next(fitting, None)) is None:
            return False
        del left[place]
    return not left


def worked(truth: Truth, functions: Sequence[Mapping[str, Any]]) -> list[Call]:
    """One right answer: the first allowed value of every declared parameter."""
    known = {function["name"]: function["parameters"] for function in functions}
    calls = []
    for wanted in truth:
        ((name, allowed),) = wanted.items()
        given = [key for key in allowed if key in known[name]["properties"]]
        given = [key for key in given if key in known[name]["required"] or any(map(_real, allowed[key]))]
        calls.append(Call(name, {key: _first(allowed[key]) for key in given}))
    return calls


def _matches(call: Call, function: Mapping[str, Any], allowed: Mapping[str, Any]) -> bool:
    declared, required = function["parameters"]["properties"], function["parameters"]["required"]
    if not set(required) <= call.arguments.keys():
        return False
    if any("" not in values for key, values in allowed.items() if key not in call.arguments and values):
        return False
    return all(
        key in declared and key in allowed and _fits(value, declared[key], allowed[key] or [[]])
        for key, value in call.arguments.items()
    )


def _fits(value: Any, schema: Mapping[str, Any], allowed: Sequence[Any]) -> bool:
    kind: Any = TYPES[schema["type"]]
    inner: Any = TYPES[schema["items"]["type"]] if schema["type"] in ("array", "tuple") else None
    if schema["type"] == "tuple" and type(value) is tuple:
        value = list(value)
    if schema["type"] == "float" and type(value) is int:
        value = float(value)
    shown = _shown(allowed)
    if type(value) is not kind:
        return type(value) is shown and value in allowed
    if inner is not None and not any(_elements(value, inner, option) for option in allowed):
        return False
    if shown not in (None, kind):
        return value in allowed
    if kind is dict:
        return any(_fits_dict(value, option) for option in allowed if option != "")
    if inner is dict:
        return any(
            len(value) == len(option) and all(map(_fits_dict, value, option)) for option in allowed if option != ""
        )
    if kind in (str, list):
        return _plain(value) in [_plain(option if kind is str else list(option)) for option in allowed]
    return value in allowed


def _shown(allowed: Sequence[Any]) -> type | None:
    """The type of the first value, "" aside."""
    return next((type(value) for value in allowed if _real(value)), None)


def _elements(values: Sequence[Any], inner: type, option: Any) -> bool:
    if type(option) is not list:
        return True
    return all(type(value) is inner or type(value) is _shown(option) for value in values)


def _fits_dict(value: Any, allowed: Mapping[str, Sequence[Any]]) -> bool:
    if not isinstance(value, dict) or any("" not in values for key, values in allowed.items() if key not in value):
        return False
    return all(key in allowed and _plain(one) in list(map(_plain, allowed[key])) for key, one in value.items())


def _plain(value: Any) -> Any:
    """A string, or the strings of a list, without what does not count."""
    if isinstance(value, list):
        return [_plain(one) if isinstance(one, str) else one for one in value]
    return re.sub(r"[ ,./\-_*^]", "", value).lower().replace("'", '"') if isinstance(value, str) else value


def _real(value: Any) -> bool:
    return not (isinstance(value, str) and value == "")


def _first(values: Sequence[Any]) -> Any:
    value = next(filter(_real, values), "" if values else [])
    if isinstance(value, list):
        return [_first_of(one) for one in value]
    return _first_of(value)


def _first_of(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {key: _first(values) for key, values in value.items() if any(map(_real, values))}
