"""Steering on the explain tab in a browser: strike, weigh, reword, add, undo; mouse, keyboard and phone."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from slim_app.ui import words
from slim_app.ui import words_steer as said
from tests.conftest import IMAGE, Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
RANKED = re.compile(r"Ranked again in [\d,]+ ms, without the language model: \d+ new, \d+ moved\.")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
PLACES = "[...document.querySelectorAll('#reasoning .seg, #reasoning .card, #reasoning .figures')].map((el) => { const b = el.getBoundingClientRect(); return [b.x, b.y, b.width, b.height].map(Math.round).join(); })"  # noqa: E501


def finished(visit: Visit, **options) -> Visitor:
    """A recorded run that has ended, and whose sentences have been counted."""
    v = visit(**options)
    v.option("#writer", words.WRITERS["recorded"])
    v.run()
    return v


def seg(v: Visitor, key: str) -> Locator:
    return v.page.locator(f"#reasoning .seg[data-seg='{key}']")


def line(v: Visitor) -> Locator:
    return v.page.locator("#reasoning .steer-bar .line")


def in_bar(v: Visitor, name: str) -> Locator:
    return v.page.locator("#reasoning .steer-bar").get_by_role("button", name=name)


def strongest(v: Visitor) -> str:
    """Key of the segment that put the first product where it is."""
    return v.page.locator("#ranking .rec").first.get_attribute("data-seg")


def strike(v: Visitor, key: str) -> None:
    seg(v, key).hover()
    seg(v, key).locator(".strike").click()


def shown_json(v: Visitor) -> dict:
    link = v.page.locator("#ranking a[download$='.json']").get_attribute("href")
    return json.loads(b64decode(link.partition("base64,")[2]))


def test_striking_out_moves_the_list_and_undo_brings_it_back(visit: Visit) -> None:
    v = finished(visit)
    before, key = v.ranked, strongest(v)
    expect(line(v)).to_have_text(said.HINT)
    expect(v.page.locator("#ranking .delta")).to_have_count(0)
    places = v.page.evaluate(PLACES)
    seg(v, key).hover()
    expect(seg(v, key).locator(".tools")).to_have_css("opacity", "1")
    assert v.page.evaluate(PLACES) == places, "nothing moves when the controls appear"

    strike(v, key)
    expect(line(v)).to_have_text(RANKED)
    expect(seg(v, key)).to_contain_class("struck")
    expect(seg(v, key).locator("s")).to_have_css("text-decoration-line", "line-through")
    expect(v.page.locator("#ranking .delta")).to_have_count(10)
    expect(v.page.locator("#ranking .rec .moved").first).to_be_visible()
    expect(v.page.locator("#ranking .rec .why .chip")).to_have_count(10)  # evidence as before
    assert v.ranked != before
    assert key not in v.page.locator("#ranking .rec").evaluate_all("(all) => all.map((el) => el.dataset.seg)")
    entered = set(v.ranked) - set(before)
    assert v.page.locator("#ranking .delta.new").count() == len(entered)
    assert set(v.page.locator("#ranking .left-list bdi").all_inner_texts()) == set(before) - set(v.ranked)
    data = shown_json(v)
    assert [r["title"] for r in data["recommendations"]] == v.ranked
    assert "Edited by hand: 1 edit." in " ".join(data["notices"])

    in_bar(v, "Undo").click()
    expect(v.page.locator("#ranking .delta")).to_have_count(0)
    expect(seg(v, key)).not_to_contain_class("struck")
    assert v.ranked == before and "Edited by hand" not in json.dumps(shown_json(v))
    in_bar(v, "Redo").click()
    expect(seg(v, key)).to_contain_class("struck")
    in_bar(v, "Reset").click()
    expect(v.page.locator("#reasoning .steer-bar .count")).to_have_text(said.COUNT[0])
    expect(in_bar(v, "Reset")).to_be_disabled()
    assert v.ranked == before


def test_weights_and_what_a_sentence_does_until_a_new_run_forgets_them(visit: Visit) -> None:
    v = finished(visit)
    key = strongest(v)
    seg(v, key).hover()
    seg(v, key).locator("summary").click()
    menu = seg(v, key).locator(".menu")
    expect(menu.locator(".does")).to_contain_text(said.LIFTS)
    expect(menu.get_by_role("button", name=said.WEIGHTS[1.0])).to_have_attribute("aria-pressed", "true")
    expect(menu).to_be_in_viewport(ratio=0.9)
    v.page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    seg(v, key).locator("summary").click()
    menu.get_by_role("button", name=said.WEIGHTS[0.5]).click()
    expect(seg(v, key).locator(".edit-mark")).to_have_text(said.WEIGHTS[0.5])
    expect(line(v)).to_contain_text("without the language model")
    expect(menu).to_be_hidden()
    seg(v, key).locator("summary").click()
    v.page.locator("#beat-3-head").click()
    expect(menu).to_be_hidden()  # a click elsewhere

    strike(v, "3.1")
    expect(seg(v, "3.1")).to_contain_class("struck")
    v.run()
    expect(v.page.locator("#reasoning .seg.struck, #reasoning .edit-mark, #ranking .delta")).to_have_count(0)
    expect(v.page.locator("#reasoning .steer-bar .count")).to_have_text(said.COUNT[0])
    v.option("#ranker", words.RANKERS["history"])
    v.run()
    expect(v.page.locator("#reasoning")).to_contain_text(said.NOT_READ)
    expect(v.page.locator("#reasoning [data-act]")).to_have_count(0)


def test_hostile_words_are_reworded_into_the_text_and_nothing_else(visit: Visit) -> None:
    v = finished(visit)
    seg(v, "3.1").hover()
    seg(v, "3.1").locator("summary").click()
    seg(v, "3.1").get_by_role("button", name=said.REWRITE).click()
    area = v.page.locator("#reasoning textarea")
    expect(area).to_be_focused()
    before = seg(v, "3.1").get_attribute("data-text")
    expect(area).to_have_value(before)
    area.fill("never mind")
    area.press("Escape")
    expect(area).to_have_count(0)
    expect(seg(v, "3.1").locator(".said")).to_have_text(before)
    expect(v.page.locator("#reasoning .steer-bar .count")).to_have_text(said.COUNT[0])

    seg(v, "3.1").locator("summary").click()
    seg(v, "3.1").get_by_role("button", name=said.REWRITE).click()
    area.fill(IMAGE)
    area.press("Enter")
    expect(seg(v, "3.1").locator(".said")).to_have_text(IMAGE)
    expect(seg(v, "3.1").locator(".edit-mark")).to_have_text(said.MARKS["rewritten"])
    v.page.locator("#reasoning .card.s2").hover()
    v.page.locator("#reasoning .card.s2 .add").click()
    area.fill("{{7*7}} ${alert(1)}")
    v.page.locator("#beat-3-head").click()  # leaving the box keeps what was written
    added = seg(v, "+1")
    expect(added.locator(".said")).to_have_text("{{7*7}} ${alert(1)}")
    expect(added.locator(".edit-mark")).to_have_text(said.MARKS["added"])
    expect(v.page.locator("#reasoning .steer-bar .count")).to_have_text("2 edits")
    expect(line(v)).to_contain_text("without the language model")
    assert v.page.evaluate("String(window.taken)") == "undefined"
    assert v.page.locator("main img[src=x]").count() == 0
    assert shown_json(v)["rationale"]["step3"][0] == IMAGE


def test_the_keyboard_alone_strikes_weighs_and_undoes_and_the_focus_stays(visit: Visit) -> None:
    v = finished(visit)
    key = strongest(v)
    press = v.page.keyboard.press
    seg(v, key).focus()
    press("Tab")
    expect(seg(v, key).locator(".strike")).to_be_focused()
    expect(seg(v, key).locator(".tools")).to_have_css("opacity", "1")
    press("Enter")
    expect(line(v)).to_have_text(RANKED)
    expect(seg(v, key).locator(".strike[data-act=restore]")).to_be_focused()
    press("Enter")
    expect(seg(v, key)).not_to_contain_class("struck")
    press("Tab")
    press("Enter")
    expect(seg(v, key).locator(".menu")).to_be_visible()
    for _ in range(5):
        press("Tab")
    press("Enter")
    expect(seg(v, key).locator(".edit-mark")).to_have_text(said.WEIGHTS[2.0])
    expect(seg(v, key).locator("summary")).to_be_focused()
    press("Enter")
    press("Tab")
    press("Tab")
    press("Enter")  # reword
    v.page.keyboard.type(" and more")
    press("Enter")
    expect(seg(v, key).locator(".said")).to_contain_text(" and more")
    expect(seg(v, key)).to_be_focused()
    in_bar(v, "Undo").focus()
    press("Enter")
    expect(seg(v, key).locator(".said")).not_to_contain_text(" and more")
    expect(in_bar(v, "Undo")).to_be_focused()
    press("Enter")
    expect(seg(v, key).locator(".edit-mark")).to_have_count(0)

    strike(v, "1.1")
    expect(seg(v, "1.1")).to_contain_class("struck")
    expect(line(v)).to_have_text(RANKED)
    for control in (".steer-bar [data-act=undo]", "[data-seg='2.1'] .strike", "[data-seg='2.1'] summary"):
        v.page.wait_for_function(  # an edit and, before it is answered, the focus on another control
            "([key, control]) => { const all = document.querySelector('#reasoning');"
            " const button = all.querySelector(`[data-seg='${key}'] .strike`), held = all.querySelector(control);"
            " if (!button || !held) return false;"  # an answer that was lost is just being asked for again
            " button.click(); held.dataset.before = ''; held.focus(); return true; }",
            arg=[key, control],
        )
        expect(v.page.locator("#reasoning [data-before]")).to_have_count(0)  # all is drawn anew
        expect(v.page.locator(f"#reasoning {control}")).to_be_focused()


def test_two_visitors_steer_at_once_stay_apart_and_every_click_counts(visit: Visit) -> None:
    one, two = finished(visit), finished(visit)
    before = one.ranked
    assert two.ranked == before
    strike(one, "3.1")
    strike(two, "3.2")
    strike(one, "1.1")
    for v, struck, count in ((one, ["1.1", "3.1"], "2 edits"), (two, ["3.2"], "1 edit")):
        expect(v.page.locator("#reasoning .steer-bar .count")).to_have_text(count)
        found = v.page.locator("#reasoning .seg.struck").evaluate_all("(all) => all.map((el) => el.dataset.seg)")
        assert found == struck
    in_bar(one, "Reset").click()
    expect(one.page.locator("#reasoning .seg.struck")).to_have_count(0)
    assert one.ranked == before
    expect(two.page.locator("#reasoning .seg.struck")).to_have_count(1)

    for key in ("2.1", "2.2", "3.1", "3.3", "3.4"):  # clicks that follow each other closely all count
        two.page.evaluate("(key) => document.querySelector(`[data-seg='${key}'] .strike`).click()", key)
    expect(two.page.locator("#reasoning .steer-bar .count")).to_have_text("6 edits")
    expect(two.page.locator("#reasoning .seg.struck")).to_have_count(6)


def test_a_fused_list_and_its_lens_follow(visit: Visit) -> None:
    v = visit()
    v.option("#writer", words.WRITERS["recorded"])
    v.option("#ranker", words.RANKERS["fused"].format(backbone="SASRec"))
    v.run()
    slider = v.page.get_by_role("slider", name=re.compile("Weight of the reasoning"))
    v.page.get_by_role("button", name=words.LENS_LINK, exact=True).click()
    expect(v.page.locator("#lens-chart .scatterlayer .trace").first).to_be_visible()
    slider.press("End")
    expect(v.page.locator("#ranking")).to_contain_text("Weighed by hand: reasoning 100 %")
    strike(v, strongest(v))
    expect(line(v)).to_have_text(RANKED)
    expect(v.page.locator("#ranking")).to_contain_text("Weighed by hand: reasoning 100 %")
    here = v.page.locator("#lens-table tbody td:nth-child(2) bdi")
    expect(here).to_have_text(v.ranked)
    expect(slider).to_have_value("100")
    slider.press("Home")
    expect(v.page.locator("#ranking")).to_contain_text("Weighed by hand: reasoning 0 %")
    expect(v.page.locator("#ranking .delta.moved")).to_have_count(0)  # without the reasoning the text moves nothing
    expect(v.page.locator("#reasoning .seg.struck")).to_have_count(1)


def test_a_phone_steers_by_touch_without_scrolling_sideways(visit: Visit) -> None:
    v = finished(visit, **PHONE)
    before = v.ranked
    assert v.page.locator("#reasoning .tools:visible").count() == 0  # the cards are folded
    v.page.locator("#reasoning .card.s3 .fold").tap()
    seg(v, "3.1").locator("summary").tap()
    menu = seg(v, "3.1").locator(".menu")
    expect(menu).to_be_visible()
    box = menu.bounding_box()
    assert box["x"] >= 0 and box["x"] + box["width"] <= 390
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    menu.get_by_role("button", name=said.STRIKE).tap()
    expect(seg(v, "3.1")).to_contain_class("struck")
    expect(line(v)).to_contain_text("without the language model")
    expect(seg(v, "3.2").locator("summary")).to_be_visible()  # the card is still unfolded
    v.page.locator("#reasoning .card.s3 .add").tap()
    v.page.locator("#reasoning textarea").fill("Gran Turismo 7 - PlayStation 5")
    v.page.locator("#reasoning textarea").press("Enter")
    expect(seg(v, "+1").locator(".said")).to_have_text("Gran Turismo 7 - PlayStation 5")
    expect(v.page.locator("#ranking .rec[data-seg='+1']").first).to_be_visible()
    assert v.ranked != before
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
