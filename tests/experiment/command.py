"""The command, in this process: students are trained here too, one after the other."""

import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hydra import compose, initialize_config_module
from hydra.core.hydra_config import HydraConfig
from omegaconf import open_dict

from scripts.parts import PARTS
from scripts.run import main, resolve
from spiritsafe.defense import Defense
from spiritsafe.exchange import Reply, Request
from spiritsafe.experiment import run
from spiritsafe.experiment.lab import Lab
from spiritsafe.store.store import Store


class Here:
    """A pool without processes."""

    def __init__(self, workers: int, *, initializer: Callable[..., None], initargs: tuple[Any, ...], **_: Any) -> None:
        initializer(*initargs)

    def submit(self, function: Callable[..., None], *arguments: Any) -> "Future[None]":
        future: Future[None] = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_: Any) -> None: ...


def command(*overrides: str, pool: Any = Here) -> int:
    """The exit status of ``spiritsafe`` with these overrides."""
    with patch.object(sys, "argv", ["spiritsafe", *overrides]), patch.object(run, "ProcessPoolExecutor", pool):
        try:
            main()
        except SystemExit as stopped:
            return int(stopped.code or 0)
    return 0


def process(*overrides: str) -> None:
    """The target of a process that may be killed."""
    sys.exit(command(*overrides))


def laboratory(*overrides: str) -> Lab:
    """What the command would work in."""
    with initialize_config_module("configs", version_base="1.3"):
        config = compose("run", overrides=list(overrides), return_hydra_config=True)
        HydraConfig.instance().set_config(config)
        with open_dict(config):
            del config["hydra"]
        return Lab(resolve(config), PARTS, Store(Path(config.paths.store)))


class Stumbles(Defense):
    """Fails at the fifth reply."""

    def __init__(self) -> None:
        self.seen = 0

    def rewrite_reply(self, request: Request, reply: Reply) -> Reply:
        self.seen += 1
        if self.seen == 5:
            raise ZeroDivisionError("the defense divided by zero")
        return reply
