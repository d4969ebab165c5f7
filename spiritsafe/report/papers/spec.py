"""What a file in configs/figure says: what to run, how to draw it, and what was published, with its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spiritsafe.errors import UserError

EVIDENCE = {
    "P": "the paper or its own files",
    "A": "the abstract only",
    "D": "derived from released files",
    "R": "an unreviewed replication",
}
UNPRINTABLE = {"S": "a secondary source", "M": "unverified", "unresolved": "sources disagree"}
Value = str | float
Point = tuple[Value, float]


def _named(name: str) -> str:
    if name in ("", ".", "..") or "/" in name:
        raise ValueError(f"{name!r} cannot name a folder: give a name without /")
    return name


Name = Annotated[str, AfterValidator(_named)]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Run(Part):
    """One experiment, its ``full`` overrides at full scale only; or another ``table``, with ``options``, some of them
    others at full scale (``full_options``)."""

    table: Literal["experiment", "detectors", "cards"] = "experiment"
    overrides: tuple[str, ...] = ()
    full: tuple[str, ...] = ()
    columns: Mapping[str, Value] = {}
    options: Mapping[str, Any] = {}
    full_options: Mapping[str, Any] = {}


class Lab(Part):
    """``minutes`` on two cores with an empty store: half of the processor time that was measured, or an estimate."""

    overrides: tuple[str, ...] = ()
    minutes: float = Field(gt=0)
    measured: bool = True

    @property
    def time(self) -> str:
        return f"{self.minutes:g} min" if self.measured else f"about {self.minutes:g} min (an estimate)"


class Full(Part):
    """``needs`` says what each <name> in the overrides stands for; ``gpu_hours`` is an estimate on the ``device``."""

    overrides: tuple[str, ...]
    needs: Mapping[str, str]
    gpu_hours: float = Field(gt=0)
    device: str = "H100"


class Axis(Part):
    """``percent`` multiplies by 100, as papers print rates."""

    column: str
    label: str
    scale: Literal["linear", "log"] = "linear"
    percent: bool = False


class Draw(Part):
    """``y`` of several columns makes the column ``measure``, of their labels, and needs a ``ylabel``. ``only`` keeps
    rows by their columns, ``order`` is that of words on the x axis, ``names`` what values are shown as. ``levels`` are
    columns that are drawn as a horizontal line, by their label; series in ``controls`` are hollow, those ``behind``
    are grey lines."""

    x: Axis
    y: tuple[Axis, ...] = Field(min_length=1)
    ylabel: str = ""
    series: str = "defense"
    panel: str | None = None
    exchanges: Literal["all", "last"] = "last"
    only: Mapping[str, tuple[Value, ...]] = {}
    order: tuple[Value, ...] = ()
    names: Mapping[str, str] = {}
    levels: Mapping[str, str] = {}
    controls: tuple[str, ...] = ()
    behind: tuple[str, ...] = ()


class Published(Part):
    """``points`` by series, each [x, y] in the units of the axes; ``axes: ours`` are by panel of ours, on its axes."""

    source: str = Field(pattern=r"arXiv \d{4}\.\d{4,5}|\(.*\d{4}\)")
    place: str
    tag: str
    title: str = ""
    direction: str = ""
    x: str = ""
    y: str = ""
    scale: Literal["linear", "log"] = "linear"
    axes: Literal["ours", "own"] = "own"
    points: Mapping[str, tuple[Point, ...]] = {}
    levels: Mapping[str, float] = {}

    @field_validator("tag")
    @classmethod
    def _printable(cls, tag: str) -> str:
        if tag in UNPRINTABLE:
            raise ValueError(f"a number tagged {tag} ({UNPRINTABLE[tag]}) is never drawn: leave it out and say so")
        if tag not in EVIDENCE:
            raise ValueError(f"{tag!r} is no evidence tag: use one of {', '.join(EVIDENCE)}")
        return tag

    @model_validator(mode="after")
    def _something(self) -> Published:
        if bool(self.points) == bool(self.direction):
            raise ValueError("either points or a direction is published")
        if self.points and self.axes != "ours" and not (self.x and self.y and self.title):
            raise ValueError("points on their own axes need a title and the x and y they are in")
        return self


class Spec(Part):
    title: str
    question: str
    runs: Mapping[Name, Run] = Field(min_length=1)
    lab: Lab
    full: Full
    draw: Draw
    published: tuple[Published, ...]
    same: str = Field(min_length=20)
    differs: str = Field(min_length=20)

    @model_validator(mode="before")
    @classmethod
    def _one_by_one(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(runs := data.get("runs"), Mapping):
            return {**data, "runs": {key: run for name in runs for key, run in spelled(name, runs[name]).items()}}
        return data

    @model_validator(mode="after")
    def _needed(self) -> Spec:
        own = [[*run.full, *map(str, run.full_options.values())] for run in self.runs.values()]
        written = " ".join([*self.full.overrides, *(text for texts in own for text in texts)])
        for name in self.full.needs:
            if f"<{name}>" not in written:
                raise ValueError(f"full.needs.{name} stands nowhere in what is run at full scale as <{name}>")
        return self


def spelled(name: str, run: Any) -> dict[str, Any]:
    """A run for every combination of the values in its ``each``, which are columns of its rows and stand in its
    overrides as <name>."""
    if not isinstance(run, Mapping) or not (each := run.get("each")):
        return {name: run}
    rest = {key: value for key, value in run.items() if key != "each"}
    found = {}
    for values in product(*each.values()):
        chosen = dict(zip(each, values, strict=True))
        texts = {key: [_with(text, chosen) for text in rest[key]] for key in ("overrides", "full") if key in rest}
        label = ", ".join([name, *(f"{key} {value}" for key, value in chosen.items())])
        found[label] = {**rest, **texts, "columns": {**rest.get("columns", {}), **chosen}}
    return found


def _with(text: str, chosen: Mapping[str, Value]) -> str:
    for key, value in chosen.items():
        text = text.replace(f"<{key}>", str(value))
    return text


def read(path: Path) -> Spec:
    """Raises a `UserError` that names what is wrong in the file."""
    try:
        return Spec.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        said = error.errors() if isinstance(error, ValidationError) else []
        reasons = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in said] or [str(error)]
        raise UserError(f"{path.name} is no figure: " + "; ".join(reasons)) from error
