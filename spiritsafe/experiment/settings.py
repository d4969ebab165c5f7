"""A resolved config as plain data: what is built from it, and what it is identified by."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate

from spiritsafe import models
from spiritsafe.budget import Budget
from spiritsafe.errors import UserError
from spiritsafe.exchange import Sampling
from spiritsafe.interface import Interface
from spiritsafe.measures.prices import Prices

LOADER = "spiritsafe.models.load"


def targets(config: Any) -> Iterator[str]:
    """Every component a config names."""
    if isinstance(config, Mapping):
        if "_target_" in config:
            yield str(config["_target_"])
        for value in config.values():
            yield from targets(value)
    elif isinstance(config, list):
        for value in config:
            yield from targets(value)


def identified(config: Any) -> Any:
    """The config with every model, and every file of a ``path``, named by what it is, not by where it lies."""
    if isinstance(config, Mapping):
        if config.get("_target_") == LOADER:
            known = models.identity(config["path"], config.get("revision"), config.get("chat_template"))
            return {"model": known, "dtype": config.get("dtype", "float32")}
        return {key: _file(value) if key == "path" else identified(value) for key, value in config.items()}
    return [identified(value) for value in config] if isinstance(config, list) else config


def _file(path: Any) -> Any:
    file = Path(path) if isinstance(path, str) else None
    return hashlib.sha256(file.read_bytes()).hexdigest()[:16] if file and file.is_file() else path


def build(config: Any, **more: Any) -> Any:
    """Instantiate a component. Whatever its constructor objects to becomes one readable message."""
    try:
        return instantiate(config, **more, _convert_="all")
    except Exception as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is not None:
            raise cause from None
        reason = error.__cause__ or error
        name = config.get("_target_", "a component") if isinstance(config, Mapping) else config
        raise UserError(f"cannot build {name}: {reason}\ncheck the names and values of its options") from error


def target(config: Mapping[str, Any]) -> Any:
    """The class that a component's config names, not built."""
    return get_class(config["_target_"])


def interface_of(config: Mapping[str, Any]) -> Interface:
    sampling = dict(config["sampling"])
    sampling["stop"] = tuple(sampling.get("stop", ()))
    return made(Interface, {**config, "sampling": made(Sampling, sampling, "interface.sampling")}, "interface")


def budget_of(config: Mapping[str, Any]) -> Budget:
    return made(Budget, {**config, "checkpoints": tuple(config["checkpoints"])}, "budget")


def prices_of(config: Mapping[str, Any]) -> Prices:
    return made(Prices, config, "prices")


def made(kind: Callable[..., Any], options: Mapping[str, Any], group: str) -> Any:
    """What a group without a ``_target_`` stands for. An option it does not know becomes one readable message."""
    try:
        return kind(**options)
    except TypeError as error:
        raise UserError(
            f"an option of {group} is unknown, missing or of the wrong type ({error}): see its file in configs/"
        ) from error
