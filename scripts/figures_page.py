"""docs/figures.md, written from the files of the figures: `python -m scripts.figures_page`."""

from __future__ import annotations

from scripts.described import ROOT, table
from scripts.figures import FOLDER, names
from spiritsafe.report.papers.spec import EVIDENCE, Published, Spec, read

PAGE, DRAWN = ROOT / "docs" / "figures.md", ROOT / "docs" / "figures"
HEAD = """# The papers' figures, and ours

```
python -m scripts.figures figure=NAME           # one of the table, on the reference world
python -m scripts.figures figure=all            # all of them, one page; it goes on after one that fails
python -m scripts.figures figure=NAME scale=full    # prints what the papers' models and data take
```

Each figure is one file in `configs/figure`: what to run, what was published and how well that is known, and how both
are drawn. Ours stands at the left with 95 % intervals and controls, the published points at the right, or on our axes
where units agree; below are source, evidence, what is the same and what differs. `runs/figures/NAME` holds the figure
as SVG and PNG, every number in it as JSON, and the report of each run. Figures share one store with everything else:
what one has run, another finds. Any option of `spiritsafe` may follow and holds for all runs of the figure
(`measure.seeds=5`).

At `scale=full` nothing is downloaded, and nothing runs until all that a figure needs is given
(`given.teacher=FOLDER given.student=FOLDER ...`; the command says which). GPU hours are estimates. Minutes at lab
scale are half of the processor time that was measured, from an empty store, where they are not called an estimate.

Numbers from secondary sources and unverified numbers are never drawn: the schema refuses them, and where nothing else
is known only a direction is said. To add a figure, read the first lines of `spiritsafe/report/papers/__init__.py`.
This page is written by `python -m scripts.figures_page`.
"""


def row(name: str, spec: Spec) -> list[str]:
    sources = list(dict.fromkeys(map(evidence, spec.published)))
    return [
        f"[`{name}`](../configs/figure/{name}.yaml)",
        spec.title,
        spec.lab.time,
        f"{spec.full.gpu_hours:g} h",
        "<br>".join(sources) or "none",
        spec.same,
        spec.differs,
    ]


def evidence(each: Published) -> str:
    said = " (direction only)" if each.direction else ""
    return f"{each.source}: {EVIDENCE[each.tag]}{said}"


def page() -> str:
    specs = {name: read(FOLDER / f"{name}.yaml") for name in names()}
    headings = (
        "figure",
        "what it shows",
        "lab scale, 2 cores",
        "full scale, 1 GPU",
        "published",
        "the same",
        "different",
    )
    lines = [HEAD, *table(headings, [row(name, spec) for name, spec in specs.items()])]
    for name, spec in specs.items():
        if (DRAWN / f"{name}.svg").exists():
            lines += ["", f"## {spec.title}", "", spec.question, "", f"![{spec.title}](figures/{name}.svg)"]
    return "\n".join([*lines, ""])


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
