"""The guided start in a browser: it follows what the visitor does, and stays away once it was closed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from slim_app.ui import words
from tests.conftest import Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]


def now(v: Visitor) -> Locator:
    return v.page.locator("#guide li[aria-current=step]")


def stays_closed(v: Visitor) -> None:
    again = v.context.new_page()
    again.goto(v.page.url)
    expect(again.locator("#history .name").first).to_be_visible()
    expect(again.locator("#guide")).to_be_hidden()


def test_three_steps_lead_from_landing_to_a_moved_list(visit: Visit) -> None:
    v = visit()
    expect(now(v)).to_contain_text("Press")
    v.option("#writer", words.WRITERS["recorded"])
    v.run()
    v.page.mouse.move(5, 5)
    height = v.page.locator("#guide").bounding_box()["height"]
    v.page.locator("#ranking .rec").nth(1).hover()
    expect(now(v)).to_contain_text("Strike a sentence out")
    key = v.page.locator("#ranking .rec").first.get_attribute("data-seg")
    segment = v.page.locator(f"#reasoning .seg[data-seg='{key}']")
    segment.hover()
    segment.locator(".strike").click()
    expect(v.page.locator("#guide .over")).to_be_visible()
    assert v.page.locator("#guide").bounding_box()["height"] == height, "nothing jumps when it ends"
    stays_closed(v)


def test_it_closes_by_keyboard_and_stays_closed(visit: Visit) -> None:
    v = visit()
    v.page.get_by_role("button", name=words.GUIDE_CLOSE).press("Enter")
    expect(v.page.locator("#guide")).to_be_hidden()
    stays_closed(v)


def test_on_a_phone_one_step_shows_at_a_time(visit: Visit) -> None:
    v = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(now(v)).to_be_visible()
    expect(v.page.locator("#guide li:visible")).to_have_count(1)
    expect(v.page.locator("#guide li")).to_have_text([re.compile("Press"), re.compile("Point"), re.compile("Strike")])
