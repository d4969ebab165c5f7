"""Content keys: the same key means the same result, so it can be reused; anything changed is another key."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from spiritsafe.errors import UserError

# A result does not depend on these, at whatever depth of a config they stand.
NOT_SEMANTIC = frozenset({"device", "sampler_batch_size", "paths", "tracker", "workers", "progress"})


def content_key(stage: str, config: Mapping[str, Any], inputs: Sequence[str], code: str) -> str:
    """The key of what a stage makes of a config, of inputs (their keys, in order) and of code (its digest)."""
    identity = [stage, canonical(config, "config", NOT_SEMANTIC), list(inputs), code]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:24]


def canonical(value: Any, path: str, without: frozenset[str] = frozenset()) -> Any:
    """``value`` as JSON knows it: enums by value, dataclasses with their class, tuples as lists.

    Keys in ``without`` are dropped at any depth. Raises where something is left that JSON cannot say.
    """
    if isinstance(value, Enum):
        return canonical(value.value, path, without)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        content = {field.name: getattr(value, field.name) for field in fields(value)}
        return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **canonical(content, path, without)}
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise UserError(f"{path} has the key {key!r}, which is not text: put it in quotes")
        return {key: canonical(item, f"{path}.{key}", without) for key, item in value.items() if key not in without}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [canonical(item, f"{path}[{index}]", without) for index, item in enumerate(value)]
    raise UserError(
        f"{path} is a {type(value).__name__}, which a result cannot be identified by: "
        "use numbers, text, lists, mappings or dataclasses of them"
    )
