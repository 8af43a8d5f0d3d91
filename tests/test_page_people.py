"""Different people on the page: a phone, the dark, a keyboard, two at once, a closed tab, a catalogue of one's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from slim_app.rationale import format_rationale
from slim_app.ui import words
from tests.conftest import App, Visitor
from tests.loopback import DONE, STALL, Loopback, delta, finish, stream

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
SOON = 5_000  # milliseconds for what is expected to fail
ANSWER = format_rationale("You cook.", ["Pans", "Pots", "Lids", "Jars", "Mugs"], ["Pan", "Pot", "Lid", "Jar", "Mug"])
FOCUSED = "document.activeElement?.getAttribute('aria-label') || document.activeElement?.id || ''"
NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, textarea, [role=button]')]
  .filter((el) => el.checkVisibility() && !(el.innerText || '').trim() && !el.getAttribute('aria-label')
    && !el.title && !el.labels?.length && !el.getAttribute('aria-labelledby'))
  .map((el) => el.outerHTML.slice(0, 200))"""
MOVING = """[...document.querySelectorAll('.slim *, #beats *')].filter((el) => getComputedStyle(el).transitionDuration
  .split(', ').some((t) => parseFloat(t) > 0)).map((el) => el.className)"""


def overflow(page: Page) -> int:
    """Pixels that the page is wider than its window."""
    return page.evaluate("document.documentElement.scrollWidth - window.innerWidth")


def tab_to(page: Page, focused: str, limit: int = 120) -> None:
    for _ in range(limit):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == focused:
            return
    pytest.fail(f"“{focused}” cannot be reached with the Tab key")


def test_a_phone_never_scrolls_sideways_and_keeps_the_button_in_reach(visit: Visit) -> None:
    v = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert overflow(v.page) <= 0
    expect(v.page.locator("#run")).to_be_in_viewport()
    v.option("#writer", words.WRITERS["recorded"])
    expect(v.page.locator("#run")).to_be_in_viewport()
    assert overflow(v.page) <= 0
    v.run()
    assert overflow(v.page) <= 0 and len(v.ranked) == 10
    v.page.locator("#ranking .rec").last.scroll_into_view_if_needed()
    v.page.locator("#ranking .rec").last.tap()
    expect(v.page.locator("#ranking .rec").last).to_contain_class("lit")
    v.page.get_by_role("tab", name=words.ABOUT_TAB).tap()
    v.page.locator("#about pre:visible").first.wait_for()
    assert overflow(v.page) <= 0


def test_the_dark_survives_a_reload(visit: Visit) -> None:
    v = visit(color_scheme="light")
    background = "getComputedStyle(document.querySelector('#beat-1')).backgroundColor"
    light = v.page.evaluate(background)
    v.page.get_by_role("button", name=words.THEME_BUTTON).click()
    expect(v.page.locator("body.dark")).to_have_count(1)
    dark = v.page.evaluate(background)
    assert dark != light
    v.page.reload()
    expect(v.page.locator("body.dark #run")).to_be_visible(timeout=SOON)
    assert v.page.evaluate(background) == dark
    v.page.get_by_role("button", name=words.THEME_BUTTON).click()
    expect(v.page.locator("body.dark")).to_have_count(0)


def test_the_keyboard_alone_reaches_and_runs_everything(visit: Visit) -> None:
    v = visit()
    first, second = v.titles[:2]
    tab_to(v.page, f"Remove: {second}")
    assert v.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    v.page.keyboard.press("Enter")
    expect(v.page.locator("#history .name bdi").nth(1)).not_to_have_text(second)
    expect(v.page.locator("#history button:focus")).to_have_count(1)
    v.page.evaluate("document.activeElement.blur()")
    tab_to(v.page, "run")
    v.watch()
    v.page.keyboard.press("Enter")
    expect(v.page.locator("#stop")).to_be_enabled()
    tab_to(v.page, "stop")
    v.page.keyboard.press("Space")
    v.ended()
    assert v.titles[0] == first and second not in v.titles


def test_the_focus_stays_with_the_purchase_that_moves(visit: Visit) -> None:
    v = visit()
    moved, *others = v.titles
    v.page.get_by_role("button", name=f"Move later: {moved}").focus()
    for place in (1, 2):
        v.page.keyboard.press("Enter")
        expect(v.page.locator("#history .name bdi").nth(place)).to_have_text(moved)
        v.page.wait_for_function(f"() => ({FOCUSED}) === {f'Move later: {moved}'!r}", timeout=SOON)
    assert v.titles == [*others[:2], moved, *others[2:]]


def test_all_sample_shoppers_are_in_the_list(visit: Visit) -> None:
    v = visit()
    v.page.get_by_role("combobox", name=words.SAMPLES_LABEL).click()
    expect(v.page.get_by_role("option")).to_have_count(120, timeout=SOON)


def test_every_control_has_a_name_and_less_motion_is_respected(visit: Visit) -> None:
    v = visit(reduced_motion="reduce")
    v.option("#writer", words.WRITERS["recorded"])
    v.page.get_by_role("button", name=words.PASTE_PANEL).click()
    v.run()
    assert v.page.evaluate(NAMELESS) == []
    assert v.page.evaluate(MOVING) == []
    v.page.get_by_role("radio", name=words.OWN_CATALOGUE).check()
    expect(v.page.locator("#own-catalogue")).to_be_visible()
    assert v.page.evaluate(NAMELESS) == []


def test_two_visitors_at_once_see_nothing_of_each_other(visit: Visit) -> None:
    one, two = visit(), visit()
    two.page.get_by_role("radio", name="Food").check()
    expect(two.page.get_by_role("button", name=words.CLEAR)).to_be_visible()
    expect(two.page.locator("#history .name bdi").first).not_to_have_text(one.titles[0])
    bought = one.titles, two.titles
    for v in (one, two):
        v.start()
    for v in (one, two):
        v.ended()
    texts = [v.page.locator("#reasoning .cards").inner_text() for v in (one, two)]
    assert texts[0] != texts[1] and all(v.page.locator("#reasoning .card.s3 .seg").count() == 5 for v in (one, two))
    assert not set(one.ranked) & set(two.ranked) and len(one.ranked) == len(two.ranked) == 10
    assert (one.titles, two.titles) == bought


def test_a_closed_tab_stops_the_writer_and_frees_its_place(visit: Visit, narrow: tuple[App, Loopback]) -> None:
    app, teacher = narrow
    teacher.script(stream(delta("Step 1: You cook"), STALL), stream(delta(ANSWER), finish(), DONE))
    one, two = visit(app.url), visit(app.url)
    for v in (one, two):
        v.option("#writer", words.WRITERS["teacher"])
    one.start()
    expect(one.page.locator("#reasoning .seg").first).to_contain_text("You cook")
    two.start()
    expect(two.page.locator("#reasoning")).to_contain_text(words.WAITING)
    one.context.close()
    two.ended()
    assert teacher.hung_up.wait(60)  # the call of the first visitor was given up, not left to run on
    assert two.page.locator("#reasoning .card.s3 .said").all_inner_texts() == ["Pan", "Pot", "Lid", "Jar", "Mug"]


def test_a_closed_tab_frees_the_student(visit: Visit, narrow: tuple[App, Loopback]) -> None:
    one, two = visit(narrow[0].url), visit(narrow[0].url)
    one.start()
    one.page.locator("#reasoning .seg").first.wait_for()
    one.context.close()
    two.run()
    assert two.page.locator("#reasoning .card.s3 .seg").count() == 5 and len(two.ranked) == 10


LAMPS = "\n".join(f"Lamp number {n};Maker {n % 3};Lamps" for n in range(1, 31))


def upload(v: Visitor, name: str, data: bytes) -> None:
    v.page.locator("#catalogue-file input[type=file]").set_input_files(
        files=[{"name": name, "mimeType": "text/csv", "buffer": data}]
    )


def test_an_own_catalogue_works_at_once_and_for_its_owner_only(visit: Visit) -> None:
    owner, other = visit(), visit()
    for v in (owner, other):
        v.page.get_by_role("radio", name=words.OWN_CATALOGUE).check()
        expect(v.page.locator("#history")).to_contain_text(words.HISTORY_EMPTY)
    upload(owner, "lamps.csv", f"name;brand;category\n{LAMPS}\n".encode())  # semicolons, and another word for title
    ready = owner.page.locator("#catalogue-view")
    expect(ready).to_contain_text(words.CATALOGUE_READY.format(count=30))
    expect(ready).to_contain_text("Read with “;” between columns.")
    owner.page.get_by_role("textbox", name=words.SEARCH_LABEL).press_sequentially("number 7")
    owner.page.locator("#hits button[data-act=add]").first.click()
    expect(owner.page.locator("#history .name bdi")).to_have_text(["Lamp number 7"])
    owner.run()
    assert len(owner.ranked) == 10 and all(title.startswith("Lamp number ") for title in owner.ranked)
    assert "Lamp number 7" not in owner.ranked
    assert "Maker 1 · Lamps" in owner.page.inner_text("#ranking")

    box = other.page.get_by_role("textbox", name=words.SEARCH_LABEL)
    box.press_sequentially("Lamp number 7")
    expect(other.page.locator("#hits")).to_contain_text(words.SEARCH_NONE)
    box.press("Enter")
    expect(other.page.locator("#history .tag")).to_have_text(words.OWN_WORDS)
    other.run()
    expect(other.page.locator("#reasoning .error")).to_contain_text("Upload your catalogue first")


def test_a_bad_catalogue_gets_a_message_and_harms_nothing(visit: Visit, tmp_path: Path) -> None:
    v = visit()
    v.page.get_by_role("radio", name=words.OWN_CATALOGUE).check()
    expect(v.page.locator("#own-catalogue")).to_be_visible()
    error = v.page.locator("#catalogue-view .error")
    bad = [
        ("no-title.csv", b"colour,size\nred,1\n", "no “title” column (columns found: “colour”, “size”)"),
        ("cp1252.csv", "title\nCafé crème\n".encode("cp1252"), "not UTF-8 text (line 2)"),
        ("no-rows.csv", b"title\n", "has no row with a title"),
        ("empty.csv", b"", "is empty"),
    ]
    for name, data, message in bad:
        upload(v, name, data)
        expect(error).to_contain_text(f"“{name}”")
        expect(error).to_contain_text(message)
    huge = tmp_path / "huge.csv"
    huge.write_bytes(b"title\n" + b"x" * (25 << 20))
    v.page.locator("#catalogue-file input[type=file]").set_input_files(huge)  # from disk: seconds sooner than by wire
    expect(v.page.get_by_text("maximum allowed size of 20").first).to_be_visible()
    v.faults.clear()  # Gradio's own: the refused upload has no progress to report
    v.page.get_by_role("radio", name="Games").check()
    v.option("#ranker", words.RANKERS["history"])
    v.run()
    assert len(v.ranked) == 10
