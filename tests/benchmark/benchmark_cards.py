"""Invented cards, for what reads them."""

from spiritsafe.benchmark.card import (
    Arm,
    Attacked,
    Card,
    Checkpoint,
    Described,
    Environment,
    Flag,
    Number,
    Point,
    Protocol,
)

ATTACKS = {"naive": "keeps what comes", "adaptive": "asks twice and keeps what checks out"}
BUDGETS = [512, 1024]


def number(value: float | None, unit: str = "ratio", half: float = 0.05, **more) -> Number:
    low, high = (None, None) if value is None else (value - half, value + half)
    return Number(value=value, low=low, high=high, unit=unit, **more)


def attacked(transfer: float) -> Attacked:
    return Attacked(
        CT=number(transfer), ST=number(0.0), GAP=number(transfer), R_h=number(0.01, "rate", 0.01),
        R_b=number(0.0, "rate", 0.0), completion_tokens=20_000, dollars=1.5,
    )  # fmt: skip


def point(stack: str, transfer: float, cost: float, at: float | None = None) -> Point:
    curve = [
        Checkpoint(
            exchanges=budget,
            CT=number(transfer * scale),
            worst="adaptive",
            ST=number(0.0),
            GAP=number(transfer * scale),
            attacks={"naive": attacked(0.9 * transfer * scale), "adaptive": attacked(transfer * scale)},
        )
        for budget, scale in zip(BUDGETS, (0.5, 1.0), strict=True)
    ]
    reached = transfer >= 0.5
    return Point(
        stack=stack, utility_point=at, strength={"strength": 3.0} if at else {}, UC=number(cost, "points", 1.0),
        UC_flexible=number(cost, "points", 1.0), UC_forced=None, extra_refusals=number(0.0, "points", 0.0),
        tokens_multiple=number(1.0), serving={"forwards": 1.0, "tokens": 0.0, "work": 0.0}, curve=curve,
        CT_AUC=number(0.75 * transfer), DE=number(1 - transfer / 0.9) if stack != "none" else None,
        AC=number(14_000.0 if reached else None, "tokens", 500.0, beyond=None if reached else 40_000.0),
        AC_dollars=number(1.2 if reached else None, "dollars", 0.1, beyond=None if reached else 3.0),
        AC_multiple=number(1.3 if reached else None, beyond=None if reached else 3.7),
    )  # fmt: skip


def card(name: str = "answer_only", transfer: float = 0.4, cost: float = 3.0, **changes) -> Card:
    found = Card(
        defense=Described(
            id=name, title=f"A defense called {name}", paper="2504.13146", family="sampling",
            config={name: {"_target_": f"defenses.{name}.Some", "strength": None}}, package="spiritsafe 0.1.0",
        ),
        protocol=Protocol(
            name="lab-v1-quick", version=1, digest="ab12cd34", quick=True, targeted=["programs", "recipes"],
            budgets=BUDGETS, seeds=3, items=100, attacks=ATTACKS, utility_points=[0.05], headline_point=0.05,
            teacher="pkg://teacher/reference", student="pkg://student/reference/base-small",
        ),
        score=number(1 - transfer / 0.9),
        points=[point(f"{name}@-5", transfer, cost, 0.05)],
        undefended=point("none", 0.9, 0.0),
        controls=[
            Arm(arm=arm, exchanges=0, accuracy=number(value, "rate"), R_h=number(0.0, "rate"), R_b=None, invalid=None)
            for arm, value in (("teacher", 0.97), ("bare", 0.02), ("format", 0.05), ("oracle", 0.95))
        ],
        flags={Flag.QUICK: "3 seeds"},
        keys={"harvest none": "0f" * 16},
        code="cafe" * 8,
        environment=Environment(
            versions={"spiritsafe": "0.1.0", "python": "3.11", "commit": "0" * 40}, platform="Linux",
            created="2026-11-22T00:00:00+00:00", seconds=300.0,
        ),
        command=f"python -m scripts.benchmark defense=[{name}]",
    )  # fmt: skip
    return found.model_copy(update=changes)
