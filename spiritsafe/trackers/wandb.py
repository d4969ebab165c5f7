"""A run in Weights & Biases. With ``mode=offline`` nothing leaves the machine until `wandb sync` is called."""

from __future__ import annotations

from dataclasses import dataclass

from spiritsafe.trackers.finished import Finished, installed


@dataclass
class WandB:
    """``mode`` is online, offline, or null for what ``WANDB_MODE`` says; ``folder`` null is the run's own."""

    project: str = "spiritsafe"
    entity: str | None = None
    mode: str | None = None
    folder: str | None = None

    def __post_init__(self) -> None:
        installed("wandb", "wandb")

    def mirror(self, run: Finished) -> str:
        import wandb

        mirror = wandb.init(
            project=self.project,
            entity=self.entity,
            mode=self.mode,
            dir=self.folder or str(run.folder),
            name=run.name,
            notes=run.title,
            config={**run.config, "overrides": list(run.overrides)},
        )
        with mirror:
            for step, numbers in run.numbers():
                mirror.log(numbers, step=step)
            for figure in run.figures:
                mirror.summary[f"figures/{figure.stem}"] = wandb.Image(str(figure))
            page = wandb.Artifact(f"report-{mirror.id}", type="report")
            page.add_file(str(run.page))
            mirror.log_artifact(page)
        return str(mirror.url or mirror.dir)
