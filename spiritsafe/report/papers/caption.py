"""What stands below a figure: where the numbers are from, how good the evidence is, what is the same, what is not."""

from __future__ import annotations

from collections.abc import Sequence

from spiritsafe.report.papers.points import Dot
from spiritsafe.report.papers.spec import EVIDENCE, Published, Spec

FULL_SEEDS = 5


def caption(spec: Spec, points: Sequence[Dot], scale: str) -> list[str]:
    """Paragraphs, the one on ours first."""
    return [
        ours(spec, points, scale),
        *(published(each) for each in spec.published),
        f"The same: {spec.same}",
        f"Different: {spec.differs}",
    ]


def ours(spec: Spec, points: Sequence[Dot], scale: str) -> str:
    """Accuracies have Wilson's intervals, which speak of items; those of the headline speak of seeds as well."""
    seeds = sorted({dot.seeds for dot in points if dot.seeds is not None})
    said = [f"Ours at {scale} scale"]
    if seeds:
        count = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
        said.append(f"{count} seed{'s' if seeds != [1] else ''}" + (" (quick)" if seeds[0] < FULL_SEEDS else ""))
    if any(dot.y.low is not None for dot in points):
        items = seeds == [1] or all(axis.column.startswith("A_") for axis in spec.draw.y)
        said.append("bars are 95 % intervals" + (" over items" if items else ""))
    return ", ".join(said) + "."


def published(each: Published) -> str:
    where = f"{each.source}, {each.place} [{each.tag}: {EVIDENCE[each.tag]}]"
    return f"Direction only, {where}: {each.direction}" if each.direction else f"Published, {where}."
