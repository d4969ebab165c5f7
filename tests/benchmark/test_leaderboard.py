"""Which cards meet on a leaderboard, how they are ranked, and what is said of those that are not."""

import pytest
from benchmark_cards import card, number, point
from reading import EVIL, Text

from scripts import leaderboard
from spiritsafe.benchmark.card import Flag, write
from spiritsafe.report.leaderboard.boards import Rank, board, boards, ranking, unique
from spiritsafe.report.leaderboard.frontier import frontier, nondominated, steps
from spiritsafe.report.leaderboard.page import page


def other_protocol(found, **changes):
    return found.model_copy(update={"protocol": found.protocol.model_copy(update=changes)})


def test_ranks_are_as_wide_as_overlapping_intervals_leave_them():
    scores = [number(value, half=half) for value, half in ((0.9, 0.05), (0.88, 0.05), (0.5, 0.1), (0.45, 0.3))]
    assert ranking(scores) == [Rank(1, 1, 2), Rank(2, 1, 2), Rank(3, 3, 4), Rank(4, 3, 4)]
    unknown = scores[2].model_copy(update={"low": None})
    assert ranking([scores[0], unknown]) == [Rank(1, 1, 1), Rank(2, 2, 2)]


def test_the_admissible_are_ranked_by_score_and_the_others_follow():
    cards = [
        card("middle", 0.4),
        card("passive", 0.0, flags={Flag.PASSIVE_ONLY: "one attack"}),
        card("best", 0.1),
        card("silent", score=None),
        card("points", score=number(9.0, "points", gated=True)),
    ]
    found = board("lab", cards)
    assert [entry.card.defense.id for entry in found.ranked] == ["best", "middle"]
    assert [entry.card.defense.id for entry in found.entries[2:]] == ["points", "passive", "silent"]
    text = Text(page(cards)).text
    assert "not ranked: passive attackers only" in text
    assert text.count("not ranked: no score") == 2


def test_another_digest_is_another_board():
    cards = [card("a"), card("b"), other_protocol(card("a"), digest="ffff0000ffff0000")]
    found = boards(cards)
    assert [(each.name, len(each.entries)) for each in found] == [("lab-v1-quick", 2), ("lab-v1-quick-ffff0000", 1)]
    links = [entry.link for each in found for entry in each.entries]
    assert len(set(links)) == 3
    assert [rank.rank.last for rank in found[1].entries] == [1]  # its rank counts its own board alone


def test_links_are_unique():
    taken = set()
    assert [unique("a", taken) for _ in range(4)] == ["a", "a-2", "a-3", "a-4"]
    assert [unique("b", taken, "f") for _ in range(3)] == ["b", "b-f", "b-f3"]


def test_code_of_two_versions_is_told():
    assert "2 versions of the code" in Text(page([card("a"), card("b", code="beef" * 8)])).text
    assert "versions of the code" not in Text(page([card("a"), card("b")])).text


def test_the_nondominated_are_those_that_no_other_beats():
    points = [(0.0, 0.9), (1.0, 0.5), (2.0, 0.6), (3.0, 0.1), (3.0, 0.1), (1.0, 0.7)]
    assert nondominated(points) == {0, 1, 3, 4}
    assert steps([(0, 1), (5, 3), (7, 9)]) == "M0,1H5V3H7V9"


def test_a_frontier_draws_every_ranked_point_and_undefended():
    several = card("c", points=[point(f"c@-{cost}", 0.5 - cost / 100, cost, cost / 100) for cost in (1, 5, 10)])
    cards = [several, card("d", 0.05, 0.5), card("e", flags={Flag.SINGLE_SEED: "one"})]
    found = frontier(board("lab", cards))
    assert len(found["dots"]) == 5
    assert {dot.label for dot in found["dots"] if dot.best} == {"undefended", "d −5 pt"}
    assert {label.text for label in found["labels"]} == {"undefended", "d −5 pt"}
    left = {dot.label: dot.x for dot in found["dots"]}
    assert left["undefended"] < left["c −1 pt"] < left["c −5 pt"] < left["c −10 pt"]
    low = {dot.label: dot.y for dot in found["dots"]}
    assert low["undefended"] < low["c −1 pt"] < low["d −5 pt"]  # y grows downwards


def test_crowded_labels_cover_neither_markers_nor_one_another():
    cards = [card(f"a_name_of_some_length_{place}", 0.9 - place / 60, place / 8) for place in range(50)]
    labels = frontier(board("lab", cards))["labels"]
    assert len(labels) > 5
    boxes = [(x if anchor == "start" else x - 6.3 * len(text), y, 6.3 * len(text)) for x, y, anchor, text in labels]
    for place, (x, y, long) in enumerate(boxes):
        for other, below, reach in boxes[:place]:
            assert abs(y - below) >= 13 or x + long <= other or other + reach <= x


def test_a_strangers_card_cannot_write_the_page():
    evil = other_protocol(card("plain"), name=f"lab{EVIL}", attacks={EVIL: "</script><!--", "adaptive": "</template>"})
    title = {"title": f'"><img src=x onerror=alert(1)>{EVIL}', "family": EVIL, "paper": "</template>" + EVIL}
    evil = evil.model_copy(update={"defense": evil.defense.model_copy(update=title)})
    tags = Text(page([evil, card()], [f"{EVIL} is no card"])).tags
    assert [tag for tag, _ in tags if tag in ("script", "img")] == ["script"]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]


def test_the_command_makes_a_page_of_all_cards_that_are_cards(tmp_path, capsys):
    write(card("one"), tmp_path / "one.json")
    (tmp_path / "deep").mkdir()
    write(card("two"), tmp_path / "deep" / "two.json")
    out = tmp_path / "site" / "index.html"
    arguments = ["--cards", str(tmp_path), "--out", str(out)]
    assert leaderboard.main(arguments) == 0
    (tmp_path / "broken.json").write_text("{")
    assert leaderboard.main(arguments) == 1
    assert "broken.json" in capsys.readouterr().err
    text = Text(out.read_text(encoding="utf-8")).text
    assert "one" in text
    assert "two" in text
    assert "broken.json" in text


def test_an_empty_folder_is_one_clear_error(tmp_path, capsys):
    with pytest.raises(SystemExit) as left:
        leaderboard.main(["--cards", str(tmp_path), "--out", str(tmp_path / "x.html")])
    assert left.value.code == 2
    assert "--cards" in capsys.readouterr().err
    assert not (tmp_path / "x.html").exists()
