"""A run in MLflow, in a local database or on a server."""

from __future__ import annotations

import re
from dataclasses import dataclass

from spiritsafe.trackers.finished import Finished, installed

VALUE = 6000  # letters that MLflow keeps of a parameter's value
BATCH = 100  # parameters it takes at a time
REFUSED = re.compile(r"[^\w\-./ :]")  # in names


@dataclass
class MLflow:
    """``uri`` is where it keeps runs, as ``sqlite:///mlflow.db`` or a server's address; null is what
    ``MLFLOW_TRACKING_URI`` says."""

    experiment: str = "spiritsafe"
    uri: str | None = None

    def __post_init__(self) -> None:
        installed("mlflow", "mlflow")

    def mirror(self, run: Finished) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param, RunTag

        client = MlflowClient(self.uri)
        known = client.get_experiment_by_name(self.experiment)
        place = known.experiment_id if known else client.create_experiment(self.experiment)
        mirror = client.create_run(place, run_name=run.name)
        name, now = mirror.info.run_id, mirror.info.start_time
        parameters = [Param(REFUSED.sub("_", key), value[:VALUE]) for key, value in run.parameters().items()]
        for begin in range(0, len(parameters), BATCH):
            client.log_batch(name, params=parameters[begin : begin + BATCH])
        for step, numbers in run.numbers():
            metrics = [Metric(REFUSED.sub("_", key), value, now, step) for key, value in numbers.items()]
            client.log_batch(name, metrics=metrics)
        client.log_batch(name, tags=[RunTag("title", run.title), RunTag("overrides", " ".join(run.overrides))])
        for file in run.figures:
            client.log_artifact(name, str(file), "figures")
        client.log_artifact(name, str(run.page))
        client.set_terminated(name)
        return f"run {name} in {client.tracking_uri}"
