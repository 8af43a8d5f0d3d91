"""The compare tab in Chromium: two writers and their figures, a blind vote, a live teacher whose key stays hidden."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from slim_app.ui import words
from slim_app.ui import words_compare as said
from tests.conftest import ROOT, App, Visitor
from tests.loopback import DONE, Loopback, delta, finish, stream, usage
from tests.writers import GOOD

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
KEY = "sk-Secret-0123456789"
STUDENT = json.loads((ROOT / "assets/students/smollm2-135m/meta.json").read_text("utf-8"))
NAMES = (STUDENT["name"], STUDENT["base"].replace("-Instruct", ""))
ALL_ELSE = """() => { const page = document.documentElement.cloneNode(true);
  page.querySelectorAll('#header, #about, script').forEach((part) => part.remove()); return page.outerHTML; }"""
"""The page without what names the app's models whatever is compared."""


@pytest.fixture
def open_tab(visit: Visit, narrow: tuple[App, Loopback]) -> Callable[..., Visitor]:
    def opened(**options) -> Visitor:
        v = visit(narrow[0].url, **options)
        v.press(v.page.get_by_role("tab", name=said.TAB))
        v.page.locator("#compare-run").wait_for()
        return v

    return opened


def choose(v: Visitor, *writers: str) -> None:
    names = {words.WRITERS[writer] for writer in writers}
    for label in v.page.locator("#compare-writers label").all():
        box = label.locator("input")
        if box.is_checked() != (label.inner_text().strip() in names):
            v.press(box)
    expect(v.page.locator("#compare-writers input:checked")).to_have_count(len(names))


def compare(v: Visitor) -> None:
    v.press(v.page.locator("#compare-run"))
    expect(v.page.locator("#compare-stop")).to_be_enabled()
    expect(v.page.locator("#compare-run")).to_be_enabled()
    expect(v.page.locator("#compare-steps [aria-busy=false]")).to_be_visible()


def figures(v: Visitor, row: str) -> list[str]:
    """The cells of one row of the summary."""
    found = v.page.locator("#compare-summary tbody tr").filter(has_text=said.ROWS[row][0])
    return found.locator("td").all_inner_texts()


def parts(v: Visitor) -> Locator:
    return v.page.locator("#compare-heads, #compare-summary, #compare-steps, #compare-lists")


def test_a_blind_vote_reveals_who_was_who_and_what_it_took(open_tab) -> None:
    v = open_tab(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(v.page.locator("#compare-summary")).to_contain_text(said.SUMMARY_EMPTY)
    choose(v, "student", "base")
    v.press(v.page.locator("#compare-blind input"))
    compare(v)
    html = "".join(part.inner_html() for part in parts(v).all())
    assert "Writer A" in html and not [name for name in NAMES if name in html]
    assert not [name for name in NAMES if name in v.page.evaluate(ALL_ELSE)]
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    v.page.locator("#compare-comment textarea").fill("It knows the wheel.")
    v.press(v.page.get_by_role("button", name=said.VERDICTS["A"]))
    expect(v.page.locator("#compare-ballot")).to_contain_text("Counted")
    for name in NAMES:
        expect(v.page.locator("#compare-heads")).to_contain_text(name)
    v.press(v.page.get_by_role("button", name=said.TALLY))
    expect(v.page.locator("#compare-tallies")).to_contain_text(said.HIDDEN)
    with v.page.expect_download() as saved:
        v.press(v.page.locator("#compare-csv"))
    assert saved.value.suggested_filename == "slim-votes.csv"
    assert "It knows the wheel." in saved.value.path().read_text("utf-8")

    # nothing is hidden any more: side by side, with figures
    v.page.set_viewport_size({"width": 1280, "height": 900})  # on a phone each figure begins with its side's letter
    base = v.page.locator("#compare-heads .head").filter(has_text=NAMES[1])
    expect(base).to_contain_text(said.LINES["untuned"])
    for step in (1, 2, 3):
        cells = v.page.locator(f"#compare-steps .s{step} .cell")
        expect(cells).to_have_count(2)
        assert all(cell.locator(".seg").count() >= (1 if step == 1 else 5) for cell in cells.all())
    assert all(re.fullmatch(r"rank [\d,]+ of [\d,]+", text.strip()) for text in figures(v, "held_out"))
    assert all(re.search(r"\d+ tokens/s", text) for text in figures(v, "speed"))
    assert all(re.search(r"\$\d+\.\d+", text) for text in figures(v, "cost_1000"))
    expect(v.page.locator("#compare-summary .pair")).to_contain_text("of the first 10")
    v.press(v.page.locator("#compare-diff input"))
    expect(v.page.locator("#compare-steps ins").first).to_be_visible()
    expect(v.page.locator("#compare-steps del").first).to_be_visible()


def test_the_key_of_a_live_teacher_is_nowhere(open_tab, narrow: tuple[App, Loopback]) -> None:
    reply = stream(delta(GOOD[:40]), 0.1, delta(GOOD[40:]), finish(), usage(100, 200), DONE)
    v = open_tab()
    with Loopback(reply) as server:
        choose(v, "teacher", "recorded")
        for field, text in (("url", server.url), ("model", "gpt-4o-mini"), ("key", KEY)):
            v.page.locator(f"#compare-{field} input").fill(text)
        v.page.locator("#compare-model input").blur()
        expect(v.page.locator("#compare-estimate")).to_contain_text("One text will cost about $")
        compare(v)
    assert [request.headers["authorization"] for request in server.requests] == [f"Bearer {KEY}"]
    expect(v.page.locator("#compare-heads .head").first).to_contain_text(said.VISITORS)
    assert figures(v, "cost")[0].strip() == said.DOLLARS.format(value=(200 * 0.15 + 100 * 0.60) / 1e6)
    stored = v.page.evaluate("JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie + location.href")
    assert KEY not in v.page.content() + stored
    assert KEY not in "".join(narrow[0].lines)
