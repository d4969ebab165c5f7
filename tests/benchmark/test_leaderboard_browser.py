"""The leaderboard as people use it, in a headless Chromium: mouse, keyboard, addresses, a narrow screen."""

import pytest
from benchmark_cards import card, point
from browser import BROWSER, browser
from reading import EVIL

from spiritsafe.benchmark.card import Flag
from spiritsafe.report.card.write import write_card
from spiritsafe.report.leaderboard.page import page

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path")
ROWS = "[...document.querySelectorAll('.board:not([hidden]) tr.entry:not([hidden]) th a')]"
SHOWN = f"{ROWS}.map((each) => each.textContent)"
OPEN = "document.querySelector('dialog').open"
TITLE = "document.getElementById('card-title').textContent"
FOCUSED = "document.activeElement.closest('tr')?.dataset.id"


def cards():
    evil = card("evil", 0.5, 2.0, command=EVIL)
    title = f'"><img src=x onerror="document.title=1">{EVIL}'
    evil = evil.model_copy(update={"defense": evil.defense.model_copy(update={"title": title, "family": "</script>"})})
    control = card("temperature", 0.3, 6.0)
    control = control.model_copy(update={"defense": control.defense.model_copy(update={"control": True})})
    whole = card("answer_only", 0.2, 0.0)
    whole = whole.model_copy(update={"protocol": whole.protocol.model_copy(update={"name": "lab-v1", "digest": "ff"})})
    several = [point(f"wide_name_that_goes_on_and_on@-{cost}", 0.6, cost, cost / 100) for cost in (1, 5, 10)]
    return [
        card("answer_only", 0.1, 0.0), control, evil, card("wide_name_that_goes_on_and_on", 0.6, 5.0, points=several),
        card("passive", 0.0, flags={Flag.PASSIVE_ONLY: "one attack"}), whole,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tab(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    path = tmp_path_factory.mktemp("site") / "index.html"
    path.write_text(page(cards(), ["bad.json is no card"]), encoding="utf-8")
    return path


@pytest.fixture
def opened(tab, html):
    """The page, and afterwards: nothing was complained of and nothing was loaded but it."""
    tab.open(html)
    yield tab
    assert tab.complaints == []
    assert set(tab.asked_for) <= {html.as_uri()}


def heading(name):
    every = "[...document.querySelectorAll('.board:not([hidden]) th')]"
    return f"{every}.find((each) => each.innerText.trim() === '{name}')"


def put(name, value, event):
    """What choosing a value in a field comes to."""
    field = f"document.getElementById('{name}')"
    return f"{field}.value = '{value}', {field}.dispatchEvent(new Event('{event}'))"


def test_rows_are_ranked_and_a_click_on_a_heading_sorts_them(opened):
    assert opened.eval(SHOWN) == ["answer_only", "temperature", "evil", "wide_name_that_goes_on_and_on", "passive"]
    opened.eval(f"{heading('UC pt')}.id = 'uc'")
    opened.click("#uc button")
    assert opened.eval("document.getElementById('uc').ariaSort") == "ascending"
    assert opened.eval(SHOWN)[-1] == "temperature"
    opened.click("#uc button")
    assert opened.eval("document.getElementById('uc').ariaSort") == "descending"
    assert opened.eval(SHOWN)[0] == "temperature"
    assert opened.eval("document.querySelectorAll('.board:not([hidden]) th[aria-sort$=cending]').length") == 1


@pytest.mark.parametrize("key", ["Enter", " "])
def test_the_keyboard_sorts_and_what_has_no_rank_stays_last(opened, key):
    opened.eval(f"{heading('rank')}.querySelector('button').focus()")
    opened.press(key)
    assert opened.eval(f"{heading('rank')}.ariaSort") == "descending"
    assert opened.eval(SHOWN)[0] == "wide_name_that_goes_on_and_on"
    assert opened.eval(SHOWN)[-1] == "passive"


def test_filters_hide_rows_and_dim_markers(opened):
    opened.click("#find")
    opened.write("TEMPER")
    assert opened.eval(SHOWN) == ["temperature"]
    assert opened.eval("document.getElementById('count').textContent") == "1 of 5 defenses"
    assert opened.eval("document.querySelectorAll('.board:not([hidden]) .dot[data-link]:not(.off)').length") == 1
    opened.click("#controls")
    assert opened.eval(SHOWN) == []
    assert not opened.eval("document.querySelector('.board:not([hidden]) .none').hidden")


def test_the_admissible_and_a_family_alone(opened):
    opened.click("#admissible")
    assert "passive" not in opened.eval(SHOWN)
    opened.eval(put("family", "</script>", "input"))
    assert opened.eval(SHOWN) == ["evil"]


def test_a_click_anywhere_in_a_row_opens_its_card_and_escape_gives_focus_back(opened):
    opened.click("tr[data-id=temperature] td.flags")
    opened.until(OPEN)
    assert opened.eval(TITLE).startswith("temperature:")
    assert opened.eval("location.hash") == "#lab-v1-quick/temperature"
    assert "removes 67%" in opened.eval("document.querySelector('dialog').innerText")
    opened.press("Escape")
    opened.until(f"!{OPEN}")
    opened.until("location.hash === ''")
    assert opened.eval(FOCUSED) == "temperature"


def test_enter_on_a_name_opens_its_card_and_the_way_back_closes_it(opened):
    opened.eval("document.querySelector('tr[data-id=evil] a').focus()")
    opened.press("Enter")
    opened.until(OPEN)
    assert EVIL in opened.eval(TITLE)
    opened.eval("history.back()")
    opened.until(f"!{OPEN}")
    assert opened.eval(FOCUSED) == "evil"


@pytest.mark.parametrize(
    ("link", "board"), [("#answer_only", "lab-v1-quick"), ("#lab-v1/answer_only", "lab-v1"), ("#%", None)]
)
def test_an_address_opens_a_card(tab, html, link, board):
    tab.open(html, link)
    assert tab.eval(OPEN) == (board is not None)
    if board:
        assert tab.eval("document.getElementById('protocol').value") == board
        tab.click("#close")
        tab.until(f"!{OPEN}")
        assert tab.eval(FOCUSED) == "answer_only"
    assert tab.complaints == []


def test_one_protocol_is_shown_at_a_time(opened):
    opened.eval(put("protocol", "lab-v1", "change"))
    assert opened.eval(SHOWN) == ["answer_only"]
    assert opened.eval("document.querySelectorAll('.board:not([hidden])').length") == 1


def test_arrows_go_along_the_frontier_and_enter_opens(opened):
    opened.eval("document.querySelector('.dot[tabindex=\"0\"]').focus()")
    said = []
    for _ in range(3):
        said.append(opened.eval("document.querySelector('.pointed').textContent"))
        opened.press("ArrowRight")
    assert len(set(said)) == 3
    assert opened.eval("document.querySelectorAll('.board:not([hidden]) .dot[tabindex=\"0\"]').length") == 1
    opened.eval("document.querySelector('.dot[data-link$=temperature]').focus()")
    opened.press("Enter")
    opened.until(OPEN)
    opened.press("Escape")
    opened.until(f"!{OPEN}")
    assert opened.eval("document.activeElement.dataset.link") == "lab-v1-quick/temperature"


@pytest.mark.parametrize("link", ["", "#evil"])
def test_a_narrow_screen_is_not_left_to_the_right(tab, html, link):
    tab.open(html, link, width=360, height=740)
    assert tab.eval(OPEN) == bool(link)
    assert tab.eval("document.documentElement.scrollWidth") <= 360
    assert tab.eval("document.querySelector('dialog').scrollWidth") <= 360
    cells = "[...document.querySelectorAll('tr.entry:not([hidden]) *')]"
    assert tab.eval(f"{cells}.filter((each) => each.getBoundingClientRect().right > 360).length") == 0
    assert tab.eval("getComputedStyle(document.querySelector('.narrow')).display") != "none"


def test_sorting_on_a_narrow_screen(tab, html):
    tab.open(html, width=360, height=740)
    tab.eval(
        "(() => { const s = document.getElementById('sort'); s.value = '1'; s.dispatchEvent(new Event('change')) })()"
    )
    assert tab.eval(SHOWN) == sorted(tab.eval(SHOWN))


def test_what_a_stranger_wrote_is_text(opened):
    opened.eval("document.querySelector('tr[data-id=evil] a').click()")
    opened.until(OPEN)
    assert opened.eval("document.querySelectorAll('script').length") == 1
    assert opened.eval("document.querySelectorAll('img').length") == 0
    assert opened.eval("document.title") == "Leaderboard · Spirit Safe"


def test_no_script_but_its_own_may_run(tab, html, tmp_path):
    path = tmp_path / "tampered.html"
    path.write_text(html.read_text(encoding="utf-8").replace("<main>", "<main><script>document.title = 1</script>"))
    tab.open(path)
    assert tab.eval("document.title") == "Leaderboard · Spirit Safe"
    assert any("Content Security Policy" in each for each in tab.complaints)


def test_a_cards_own_page_fits_and_is_quiet(tab, tmp_path):
    tab.open(write_card(cards()[2], tmp_path), width=360, height=740)
    assert tab.eval("document.documentElement.scrollWidth") <= 360
    assert tab.complaints == []
    assert len(set(tab.asked_for)) == 1
