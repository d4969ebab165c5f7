"""The worst case over an attack set, on tables whose transfer is known exactly."""

import pandas as pd
import pytest
from test_transfer import FORMAT, TARGETED, TEACHER, ledger, scored

from spiritsafe.measures.ladder import ladder

SERVED = [scored("defended", 1.0, (1.0, 0.0), defense=name) for name in ("none", "shield")]
BARE = 0.01  # the skill of the student before any training


def rung(**skills: float | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An attack whose students of each defense have these skills; None where nothing was left to learn from."""
    students = [
        scored("attacked", BARE if skill is None else skill, defense=name, exchanges=64, seeds=3)
        for name, skill in skills.items()
    ]
    spend = [row for name, skill in skills.items() for row in ledger(name, 64, untrained=3 * (skill is None))]
    return pd.concat([TEACHER, FORMAT, *SERVED, *students]), pd.DataFrame(spend)


def test_the_worst_case_is_the_largest_transfer_and_says_whose():
    found = ladder(
        {"naive": rung(none=0.91, shield=0.1), "adaptive": rung(none=0.55, shield=0.55)}, TARGETED, resamples=300
    )
    undefended, shield = found
    assert (undefended["worst"], shield["worst"]) == ("naive", "adaptive")
    assert undefended["CT*"]["value"] == pytest.approx(0.9)
    assert shield["CT*"]["value"] == pytest.approx(0.5)
    for row in found:
        each = [rung["CT"] for rung in row["rungs"].values()]
        assert row["CT*"]["value"] == max(column["value"] for column in each)
        assert row["CT*"]["low"] >= max(column["low"] for column in each) - 1e-9
        assert row["CT*"]["high"] >= max(column["high"] for column in each) - 1e-9
    assert shield["rungs"]["adaptive"]["completion_tokens"] == 3200


def test_an_attack_with_nothing_left_stands_with_the_bare_student():
    shield = ladder(
        {"naive": rung(none=0.91, shield=None), "same": rung(none=0.91, shield=None)}, TARGETED, resamples=50
    )[1]
    assert shield["CT*"]["value"] == pytest.approx(-0.1)
    assert shield["rungs"]["naive"]["CT"]["value"] == shield["CT*"]["value"]
    assert "nothing was left" in shield["rungs"]["naive"]["notes"][0]
    mixed = ladder(
        {"naive": rung(none=0.91, shield=None), "adaptive": rung(none=0.5, shield=0.55)}, TARGETED, resamples=50
    )[1]
    assert mixed["worst"] == "adaptive"
    assert mixed["CT*"]["value"] == pytest.approx(0.5)


def two_budgets(*skills: tuple[float, float]) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Attacks of these skills at 64 and 256 exchanges behind a shield; undefended each has what the first table has."""
    rungs = {}
    for place, (small, large) in enumerate(skills):
        points = {("none", 64): 0.55, ("none", 256): 0.91, ("shield", 64): small, ("shield", 256): large}
        students = [
            scored("attacked", skill, defense=name, exchanges=size, seeds=3) for (name, size), skill in points.items()
        ]
        spend = [row for name, size in points for row in ledger(name, size)]
        rungs[f"attack {place}"] = pd.concat([TEACHER, FORMAT, *SERVED, *students]), pd.DataFrame(spend)
    return rungs


def test_over_all_budgets_the_worst_attack_at_each_counts():
    few, many = (0.37, 0.1), (0.1, 0.55)  # CT 0.3 and 0 of one, 0 and 0.5 of the other
    row = ladder(two_budgets(few, many), TARGETED, resamples=200)[-1]
    assert row["worst_case"]["CT_AUC"]["value"] == pytest.approx(0.4)  # (0.3 + 0.5) / 2 over log budget
    assert row["worst_case"]["DE"]["value"] == pytest.approx(1 - 0.4 / 0.7)
    alone = [ladder(two_budgets(skills), TARGETED, resamples=200)[-1]["worst_case"] for skills in (few, many)]
    assert row["worst_case"]["CT_AUC"]["value"] > max(each["CT_AUC"]["value"] for each in alone)
    assert alone[0]["AC"]["value"] is None
    assert row["worst_case"]["AC"] == alone[1]["AC"]  # what the only attack that came to half paid


def test_no_attack_comes_to_half():
    row = ladder(two_budgets((0.1, 0.2), (0.1, 0.3)), TARGETED, resamples=50)[-1]
    cost = row["worst_case"]["AC"]
    assert cost["value"] is None
    assert cost["beyond"] == row["rungs"]["attack 0"]["completion_tokens"]
