"""A card on disk: what is written is what is read, and nothing else is taken for one."""

import json

import pytest
from benchmark_cards import card

from spiritsafe.benchmark.card import Flag, read, write
from spiritsafe.errors import UserError


def test_a_card_survives_its_file(tmp_path):
    write(card(), tmp_path / "card.json")
    assert read(tmp_path / "card.json") == card()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 2}, "schema 1"),
        ({"score": {"value": "high", "low": 0, "high": 1, "unit": "ratio"}}, "score.value"),
        ({"surprise": 1}, "surprise"),
        ({"flags": {"splendid": "me"}}, "flags"),
        ({"points": []}, "points"),
        ({"score": {"value": float("nan"), "low": 0, "high": 1, "unit": "ratio"}}, "score.value"),
        ({"score": {"value": 1e300, "low": 0, "high": 1, "unit": "ratio"}}, "score.value"),
    ],
)
def test_what_is_no_card_is_named(tmp_path, change, said):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(card().model_dump(mode="json") | change))
    with pytest.raises(UserError, match=said):
        read(path)


def test_a_quick_card_is_admissible_and_a_passive_one_is_not():
    assert card().admissible
    assert not card(flags={Flag.PASSIVE_ONLY: "one attack"}).admissible
