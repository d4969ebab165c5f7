"""A figure on disk, and one page over all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spiritsafe.errors import UserError
from spiritsafe.report.content import Row
from spiritsafe.report.page import inline, rendered
from spiritsafe.report.papers.caption import caption
from spiritsafe.report.papers.draw import drawn
from spiritsafe.report.papers.points import dots, levels
from spiritsafe.report.papers.spec import Spec
from spiritsafe.report.style import save
from spiritsafe.report.write import write_json, write_text

PAGE = "index.html"


@dataclass(frozen=True)
class Finished:
    """``error`` is what went wrong, else the figure lies in ``folder``."""

    name: str
    title: str
    question: str
    folder: Path
    commands: Sequence[str] = ()
    error: str = ""


def write(folder: Path, name: str, spec: Spec, rows: Sequence[Row], scale: str, commands: Sequence[str]) -> Finished:
    """``NAME.svg``, ``.png`` and, with every number that is drawn, ``.json``."""
    points, lines = dots(rows, spec.draw), levels(rows, spec.draw)
    if not points:
        raise UserError(f"{name}: nothing to draw: no row has {', '.join(axis.column for axis in spec.draw.y)}")
    said = caption(spec, points, scale)
    save(drawn(spec, points, lines, said), folder, name)
    found = {
        "figure": name,
        "title": spec.title,
        "scale": scale,
        "commands": list(commands),
        "axes": {"x": spec.draw.x.label, "y": [axis.label for axis in spec.draw.y]},
        "ours": [dot.plain for dot in points],
        "levels": lines,
        "published": [each.model_dump(mode="json") for each in spec.published],
        "caption": said,
    }
    write_json(folder / f"{name}.json", found)
    return Finished(name, spec.title, spec.question, folder, commands)


def index(folder: Path, finished: Sequence[Finished], scale: str) -> Path:
    """All figures on one page that opens offline, those that failed with what was said."""
    svgs = {
        each.name: inline((each.folder / f"{each.name}.svg").read_text(encoding="utf-8"), each.name)
        for each in finished
        if not each.error
    }
    links: Mapping[str, str] = {each.name: str(each.folder.relative_to(folder)) for each in finished}
    title = "The papers' figures, and ours"
    text = rendered("papers/index.html", title=title, kicker=f"{scale} scale", figures=finished, svgs=svgs, links=links)
    write_text(folder / PAGE, text)
    return folder / PAGE
