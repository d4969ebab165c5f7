"""What a report says about its run beside the scores: who was asked for what, and how to do it again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from spiritsafe.measures.detector import Detectors


@dataclass(frozen=True)
class Facts:
    """All of it is data from manifests; what is left empty is left out of the page.

    ``targeted`` are the tasks the attack asked for, ``weights`` its share of each task, ``interface`` what the API
    offered. ``controls`` names the defenses that are there for comparison at equal utility loss. ``calibration`` holds
    what each defense found in ``prepare`` (its ``summary``), by name. ``models`` maps a part (teacher, student, proxy)
    to a name, ``template`` is the chat template's hash. ``durations`` are seconds by stage, ``keys`` content keys.
    ``prices`` is the dated sheet that dollars were worked out by, ``costs`` what each stack adds to serving an honest
    question (``forwards`` of other models a token, ``tokens`` that others write a question, ``work`` in simulated
    seconds an exchange), ``audits`` the ownership table's rows, ``detectors`` those that refusal rates are
    corrected for.
    """

    title: str
    targeted: tuple[str, ...]
    command: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    interface: Mapping[str, Any] = field(default_factory=dict)
    attack: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    objective: str = ""
    controls: tuple[str, ...] = ()
    calibration: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prices: Mapping[str, Any] = field(default_factory=dict)
    costs: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    audits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    detectors: Detectors = field(default_factory=dict)
    template: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    keys: Mapping[str, str] = field(default_factory=dict)
    durations: Mapping[str, float] = field(default_factory=dict)


def flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested facts as (dotted name, text), numbers short."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", said(value)


def said(value: Any) -> str:
    """A fact in words."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(f"({said(entry)})" if isinstance(entry, list | tuple) else said(entry) for entry in value)
    return str(value)
