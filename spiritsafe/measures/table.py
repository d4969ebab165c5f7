"""The item table of one experiment, checked, and every mean of it in every resample."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spiritsafe.errors import UserError
from spiritsafe.measures.bootstrap import Bootstrap, Draws, resampled_means
from spiritsafe.measures.detector import Detectors, detector_of
from spiritsafe.task import Behaviour, Kind

ARMS = ("teacher", "defended", "bare", "format", "oracle", "attacked", "self", "random")
SCORES = ("strict", "flexible", "forced", "extracted")
CODES = tuple(behaviour.value for behaviour in Behaviour)
KEYS = ("arm", "defense", "exchanges", "seed", "task", "item")
COLUMNS = (*KEYS, "kind", "cluster", *SCORES, "behaviour", "tokens")


class Arm(NamedTuple):
    """One model in the comparison. ``defense`` and ``exchanges`` are set only where the arm depends on them."""

    name: str
    defense: str = ""
    exchanges: int = 0


def checked(items: pd.DataFrame) -> pd.DataFrame:
    """The table with canonical keys and one column a measure (each behaviour is one too).

    An item without a cluster is its own. Raises where columns, rows or words are missing, doubled or unknown.
    """
    missing = [column for column in COLUMNS if column not in items.columns]
    if missing or items.empty:
        raise UserError(f"the item table lacks {missing or 'rows'}: examine the arms again, it needs {list(COLUMNS)}")
    for column, known in (("arm", ARMS), ("kind", tuple(Kind)), ("behaviour", CODES)):
        unknown = sorted(set(items[column].astype(str)) - {str(word) for word in known})
        if unknown:
            raise UserError(f"the item table has an unknown {column} {unknown}: use one of {[str(w) for w in known]}")
    table = items[list(COLUMNS)].copy()
    table["defense"] = table["defense"].fillna("").where(table["arm"].isin(["defended", "attacked"]), "")
    table["exchanges"] = table["exchanges"].where(~table["arm"].isin(["teacher", "defended", "bare", "format"]), 0)
    table["item"] = table["item"].astype(str)
    cluster = table["cluster"].fillna("").astype(str)
    table["cluster"] = cluster.where(cluster != "", table["item"])
    for code in CODES:
        table[code] = table["behaviour"] == code
    doubled = table.duplicated(list(KEYS))
    if doubled.any():
        raise UserError(f"the item table scores one item twice: {table.loc[doubled, list(KEYS)].iloc[0].to_dict()}")
    return table


class Means:
    """Means over items and seeds of any measure of any arm, as draws of one shared bootstrap.

    Clusters are resampled within their task, because the tasks are chosen, not sampled. ``detectors`` correct refusal
    rates for the errors of whatever read the replies.
    """

    def __init__(self, items: pd.DataFrame, bootstrap: Bootstrap, detectors: Detectors | None = None) -> None:
        self._bootstrap, self._detectors = bootstrap, detectors or {}
        table = checked(items)
        self.kinds: dict[str, str] = dict(table[["task", "kind"]].drop_duplicates().itertuples(index=False))
        self.seeds = sorted(set(table["seed"]))
        self._seed_draws = bootstrap.seeds(len(self.seeds))
        self._tasks = {str(task): _Task(rows, self.seeds) for task, rows in table.groupby("task")}
        self._item_draws = cache(lambda task: bootstrap.items(self._tasks[task].clusters, task))
        self._all = cache(self._task_means)

    def tasks(self, kind: Kind) -> list[str]:
        return sorted(task for task, its_kind in self.kinds.items() if its_kind == kind)

    @property
    def arms(self) -> set[Arm]:
        return {arm for task in self._tasks.values() for arm in task.arms}

    def seed_count(self, arm: Arm) -> int:
        """How many seeds of an arm were run, on the task where most were."""
        return max((task.seed_count(arm) for task in self._tasks.values()), default=0)

    def mean(self, arm: Arm, tasks: Sequence[str], measure: str) -> Draws | None:
        """Mean over ``tasks`` of the task means [1 + resamples]; None where there are none or the arm lacks one."""
        if not tasks or any(arm not in self._tasks[task].arms for task in tasks):
            return None
        rows = [self._all(task, measure)[self._tasks[task].arms[arm]] for task in tasks]
        return np.asarray(sum(rows) / len(rows))

    def refusal(self, arm: Arm, kind: Kind) -> Draws | None:
        """Refusal rate on all tasks of a kind, corrected; None as in `mean`."""
        observed = self.mean(arm, self.tasks(kind), "refuse")
        if observed is None:
            return None
        detector = detector_of(self._detectors, arm.name, arm.defense)
        return observed if detector is None else detector.corrected(observed, self._bootstrap)

    def _task_means(self, task: str, measure: str) -> Draws:
        return resampled_means(self._tasks[task].scores(measure), self._seed_draws, self._item_draws(task))


class _Task:
    """The rows of one task, aligned: every arm on the same items in the same order."""

    def __init__(self, rows: pd.DataFrame, seeds: Sequence[int]) -> None:
        names = ["arm", "defense", "exchanges"]
        unique = rows[names].drop_duplicates().sort_values(names).itertuples(index=False, name=None)
        self.arms = {Arm(*key): row for row, key in enumerate(unique)}
        codes, items = pd.factorize(rows["item"], sort=True)
        self.clusters: NDArray = rows.drop_duplicates("item").set_index("item")["cluster"].loc[items].to_numpy(str)
        self._rows = rows
        self._shape = (len(self.arms), len(seeds), len(items))
        self._index = (
            rows.groupby(names).ngroup().to_numpy(),
            np.searchsorted(np.asarray(seeds), rows["seed"].to_numpy()),
            codes,
        )
        counts = np.zeros(self._shape[:2], int)
        np.add.at(counts, self._index[:2], 1)
        self._runs = (counts > 0).sum(1)
        if not np.isin(counts, (0, self._shape[2])).all():
            arm = list(self.arms)[int(np.argwhere(~np.isin(counts, (0, self._shape[2])))[0][0])]
            raise UserError(
                f"{arm} was not scored on all {self._shape[2]} items of task {rows['task'].iloc[0]}: "
                "arms can only be compared on the same items, examine it again"
            )

    def seed_count(self, arm: Arm) -> int:
        return int(self._runs[self.arms[arm]]) if arm in self.arms else 0

    def scores(self, measure: str) -> NDArray[np.float32]:
        """[arms, seeds, items], nan where an arm lacks a seed."""
        scores = np.full(self._shape, np.nan, np.float32)
        scores[self._index] = self._rows[measure].to_numpy(np.float32)
        return scores
