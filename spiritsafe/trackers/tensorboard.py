"""A run as TensorBoard events: `tensorboard --logdir runs` finds them in the run's folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from spiritsafe.trackers.finished import Finished, installed


@dataclass
class TensorBoard:
    """``folder`` holds one folder of events a run; null puts them into the run's own, under ``tensorboard``.

    The page is no event: its path stands among the texts, with the config and the overrides.
    """

    folder: str | None = None

    def __post_init__(self) -> None:
        installed("tensorboard", "tensorboard")

    def mirror(self, run: Finished) -> str:
        from matplotlib.image import imread
        from torch.utils.tensorboard import SummaryWriter

        place = Path(self.folder) / run.name if self.folder else run.folder / "tensorboard"
        for older in place.glob("events.out.tfevents.*"):  # it is mirrored anew
            older.unlink()
        with SummaryWriter(str(place)) as writer:
            for step, numbers in run.numbers():
                for name, value in numbers.items():
                    writer.add_scalar(name, value, step)
            for figure in run.figures:
                writer.add_image(figure.stem, imread(figure)[..., :3], dataformats="HWC")
            writer.add_text("config", "    " + yaml.safe_dump(run.config).replace("\n", "\n    "))
            writer.add_text("overrides", " ".join(run.overrides))
            writer.add_text("page", str(run.page))
        return str(place)
