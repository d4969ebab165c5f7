"""A protocol is fixed: what a benchmark's config has in common with it, and what differs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spiritsafe.experiment.settings import identified
from spiritsafe.store.keys import content_key

# What no result depends on, and the defense, which is what the protocol is applied to.
FREE = frozenset(
    {"stacks", "title", "next", "paths", "cards", "workers", "sampler_batch_size", "tracker", "trackers", "hydra"}
)


@dataclass(frozen=True)
class Fixed:
    """``digest`` identifies all options that count; ``changed`` are those that are not the protocol's own, dotted."""

    digest: str
    changed: tuple[str, ...]


def fixed(config: Mapping[str, Any], own: Mapping[str, Any]) -> Fixed:
    """``config`` is the resolved config of a benchmark, ``own`` that of its protocol alone."""
    mine, theirs = (_counting(each) for each in (config, own))
    flat, before = dict(_flat(mine)), dict(_flat(theirs))
    changed = sorted(name for name in flat.keys() | before.keys() if flat.get(name) != before.get(name))
    return Fixed(content_key("protocol", mine, [], "")[:8], tuple(changed))


def _counting(config: Mapping[str, Any]) -> dict[str, Any]:
    return {name: identified(part) for name, part in config.items() if name not in FREE}


def _flat(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(config, Mapping) and config:
        for name, part in config.items():
            yield from _flat(part, f"{prefix}.{name}" if prefix else str(name))
    else:
        yield prefix, config
