"""Parts that write down when something is really made, for processes that a test cannot look into."""

import os
import signal
from pathlib import Path

import torch
from torch import Tensor

from spiritsafe.defense import Defense
from spiritsafe.interface import Signal
from spiritsafe.objective import Targets
from student.sft import SFT


def note(log: str, what: str) -> None:
    with Path(log).open("a") as file:
        print(what, file=file)


class Noted(Defense):
    """Does nothing but note its calibration."""

    def __init__(self, log: str) -> None:
        self.log = log

    def prepare(self, preparation) -> None:
        preparation.kept("noted", self._made)

    def _made(self) -> dict[str, Tensor]:
        note(self.log, "calibrated")
        return {"nothing": torch.zeros(1)}


class NotedSFT:
    """SFT that notes a student's first step."""

    needs = Signal.TEXT

    def __init__(self, log: str) -> None:
        self.log, self.begun = log, False

    def loss(self, logits: Tensor, targets: Targets) -> Tensor:
        if not self.begun:
            note(self.log, "trained")
            self.begun = True
        return SFT().loss(logits, targets)


class Killed(Defense):
    """Ends the process that serves behind it, as a full memory would."""

    def prepare(self, preparation) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Broken(Defense):
    def prepare(self, preparation) -> None:
        raise ZeroDivisionError("the defense divided by zero")
