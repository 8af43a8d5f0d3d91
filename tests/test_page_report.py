"""Report card, permalink and the bound switch in a browser, with the embedded model; links at a second server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import html5lib
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from slim_app.permalink import decode
from slim_app.reasoners.llama_cpp import BOUND_NOTE
from slim_app.ui import words, words_compare, words_steer
from slim_app.ui import words_report as said
from tests.conftest import TEACHER_KEY, App, Visitor
from tests.loopback import Loopback

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
EVIL = "<img src=x onerror=alert(1)></title><script>alert(2)</script>"
CLIPBOARD = {"permissions": ["clipboard-read", "clipboard-write"]}
COPIED_TEXT = "navigator.clipboard.readText()"


def save(v: Visitor, label: str, folder: Path, bar: str = "#report") -> Path:
    """Press a report's button and keep the file."""
    with v.page.expect_download() as download:
        v.press(v.page.locator(bar).get_by_role("button", name=label))
    file = folder / download.value.suggested_filename
    download.value.save_as(file)
    return file


def copy_link(v: Visitor) -> str:
    v.press(v.page.locator("#report").get_by_role("button", name=said.COPY_LINK))
    expect(v.page.locator("#report-note [role=status]")).not_to_have_text("")
    return v.page.get_by_role("textbox", name=said.LINK_LABEL).input_value()


def recorded(v: Visitor) -> None:
    v.option("#writer", words.WRITERS["recorded"])
    v.run()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[[Path], Any]]:
    """Opens a file from disk, offline; nothing may be asked for, said or thrown."""
    context, faults = browser.new_context(offline=True), []

    def show(file: Path) -> Any:
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda line: faults.append(line.text))
        page.on("dialog", lambda dialog: (faults.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda r: None if r.url == file.as_uri() else faults.append(r.url))
        page.goto(file.as_uri())
        return page

    yield show
    context.close()
    assert faults == []


def test_the_report_opens_from_disk_and_holds_what_the_page_shows(visit: Visit, opened, tmp_path: Path) -> None:
    v = visit()
    expect(v.page.locator("#report")).to_be_hidden()
    box = v.page.get_by_role("textbox", name=words.SEARCH_LABEL)
    v.page.get_by_role("button", name=words.CLEAR).click()
    box.press_sequentially(EVIL)
    box.press("Enter")
    expect(v.page.locator("#history .name bdi")).to_have_text([EVIL])
    v.run()
    expect(v.page.locator("#report")).to_be_visible()
    card = json.loads(save(v, said.REPORT_JSON, tmp_path).read_text("utf-8"))
    ranked = [rec["title"] for rec in card["result"]["recommendations"]]
    assert ranked == v.ranked and card["history"][0]["title"] == EVIL and card["result"]["model"]["kind"] == "live"
    assert card["faithfulness"]["explained"] == 10 and all(card["versions"]["digests"].values())
    assert card["link"].startswith(f"{v.page.url}?s=1.")

    file = save(v, said.REPORT_HTML, tmp_path)
    html5lib.HTMLParser(strict=True).parse(file.read_text("utf-8"))
    page = opened(file)
    expect(page.locator("h1")).to_be_visible()
    text = page.inner_text("body")
    assert EVIL in text and all(title in text for title in ranked) and page.locator("img, script").count() == 0


def test_an_edited_page_comes_back_in_another_browser_and_at_another_server(
    browser, narrow: tuple[App, Loopback], app_url: str, tmp_path: Path
) -> None:
    url = narrow[0].url
    v = Visitor(browser, url, **CLIPBOARD)
    games = v.titles
    v.page.get_by_role("radio", name="Food").check()
    expect(v.page.locator("#history .name bdi").first).not_to_have_text(games[0])
    recorded(v)
    line = v.page.locator("#reasoning .steer-bar .line")
    cards = v.page.locator("#reasoning")
    expect(cards).not_to_contain_text(words_steer.COUNTING)  # they have been drawn for the last time
    segment = v.page.locator("#reasoning .seg[data-seg='3.1']")
    segment.hover()
    segment.locator(".strike").click()
    expect(line).to_contain_text("Ranked again")
    expect(cards).not_to_contain_text(words_steer.COUNTING)
    expect(v.page.locator("#ranking .rec .why").first).to_be_visible()  # the evidence follows the list
    after, bought = v.ranked, v.titles
    link = copy_link(v)
    assert link == v.page.url == v.page.evaluate(COPIED_TEXT) and link.startswith(f"{url}?s=1.")
    expect(v.page.locator("#report-note [role=status]")).to_have_text(said.COPIED)
    made = decode(parse_qs(urlsplit(link).query)["s"][0])
    assert TEACHER_KEY not in repr(made) and [row["weight"] for row in made.edits] == [0] and made.writer == "recorded"
    assert json.loads(save(v, said.REPORT_JSON, tmp_path).read_text("utf-8"))["steering"]["segments"]
    assert TEACHER_KEY not in save(v, said.REPORT_HTML, tmp_path).read_text("utf-8")
    same_elsewhere(browser, link, after, bought)
    assert v.faults == []
    v.context.close()
    # as after a restart: a process that has never heard of the first one
    same_elsewhere(browser, link.replace(url, app_url), after, bought)


def same_elsewhere(browser, link: str, ranked: list[str], bought: list[str]) -> None:
    """The link in a browser that knows nothing of the first one."""
    w = Visitor(browser, link, **CLIPBOARD)
    expect(w.page.locator("#message")).to_contain_text(said.RESTORED)
    expect(w.page.locator("#ranking .rec")).to_have_count(len(ranked))
    assert (w.ranked, w.titles) == (ranked, bought)
    expect(w.page.get_by_role("radio", name="Food")).to_be_checked()
    expect(w.page.locator("#reasoning")).to_contain_text(said.FROM_LINK)
    expect(w.page.locator("#reasoning .struck")).to_have_count(1)
    assert copy_link(w) == link, "nothing got lost on the way"
    w.run()  # written here again, and the address no longer speaks of the link
    assert "?s=" not in w.page.url and w.faults == []
    expect(w.page.locator("#reasoning")).not_to_contain_text(said.FROM_LINK)
    expect(w.page.locator("#report-note .answer")).to_be_hidden()
    w.context.close()


def test_a_page_that_may_not_copy_shows_the_link(visit: Visit) -> None:
    v = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    recorded(v)
    v.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    link = copy_link(v)
    expect(v.page.locator("#report-note [role=status]")).to_have_text(said.BY_HAND)
    assert v.page.evaluate("getSelection().toString() || document.activeElement.value") == link
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("text", ["1.abc", "<script>alert(1)</script>", "2.x", "1." + "A" * 7_000])
def test_a_broken_link_shows_one_sentence_and_the_normal_page(visit: Visit, app_url: str, text: str) -> None:
    v = visit(f"{app_url}?s={text}")
    expect(v.page.locator("#message .error")).to_have_count(1)
    expect(v.page.locator("#message .error")).to_contain_text("link")
    assert len(v.titles) > 2 and v.page.locator("#run").is_enabled()


def test_the_switch_binds_and_says_so(visit: Visit) -> None:
    v = visit()
    v.option("#writer", words.WRITERS["student"])
    v.page.get_by_role("checkbox", name=said.BOUND_LABEL).check()
    v.run()
    expect(v.page.locator("#reasoning")).to_contain_text(BOUND_NOTE)
    products = v.page.locator("#reasoning .card.s3 .mark").all_inner_texts()
    assert len(products) == 5 and all(words.MARKS["catalogue"][1] in mark for mark in products)
    v.option("#writer", words.WRITERS["recorded"])
    expect(v.page.get_by_role("checkbox", name=said.BOUND_LABEL)).to_be_disabled()
    expect(v.page.get_by_role("checkbox", name=said.BOUND_LABEL)).not_to_be_checked()


def test_a_finished_comparison_has_a_report(visit: Visit, tmp_path: Path) -> None:
    v = visit()
    v.page.get_by_role("tab", name=words_compare.TAB).click()
    v.page.locator("#compare-writers").get_by_text(words.WRITERS["student"], exact=True).click()
    v.page.locator("#compare-writers").get_by_text(words.WRITERS["base"], exact=True).click()
    expect(v.page.locator("#compare-report")).to_be_hidden()
    v.page.locator("#compare-run").click()
    card = json.loads(save(v, said.REPORT_JSON, tmp_path, "#compare-report").read_text("utf-8"))
    assert [side["writer"] for side in card["comparison"]["sides"]] == ["recorded", "base"]
    assert card["result"]["model"]["kind"] == "recorded" and card["link"].startswith(v.page.url)


# -- the API ----------------------------------------------------------------------------------------------------------


def test_report_and_bound_in_the_api(app_url: str) -> None:
    client = Client(app_url, verbose=False)
    bought = ["G311", "G165", "<b>My own</b>"]
    written = "Step 1: You race.\nStep 3:\n1. Forza Horizon 5"
    card = client.predict(bought, "games", "reasoning", 3, rationale=written, api_name="/report")
    assert card["schema"] == "slim-report/1" and len(card["result"]["recommendations"]) == 3
    assert card["result"]["model"]["kind"] == "none" and card["faithfulness"]["explained"] == 3
    link = decode(card["link"].removeprefix("?s="))
    assert [item.id for item in link.history] == ["G311", "G165", ""] and link.k == 3
    page = client.predict(bought, "games", "history", 3, form="html", api_name="/report")
    assert re.fullmatch(r"slim-games-\d{14}\.html", page["name"]) and "<b>My own" not in page["html"]
    html5lib.HTMLParser(strict=True).parse(page["html"])
    bound = client.predict(bought, "games", "reasoning", 3, "base", bound=True, api_name="/recommend")
    products = [m["status"] for m in bound["grounding"]["mentions"] if m["key"].startswith("3.")]
    assert set(products) == {"catalogue"} and bound["model"]["bound"] and BOUND_NOTE in bound["model"]["note"]
    for wrong, message in (
        ({"form": "pdf"}, "json"), ({"rationale": written, "ranker": "history"}, "reads no rationale"),
        ({"rationale": "x" * 20_001}, "at most 20,000"), ({"writer": "free", "bound": True}, "cannot be bound"),
        ({"k": 0}, "from 1 to 100"), ({"history": []}, "is empty"),
    ):  # fmt: skip
        with pytest.raises((AppError, ValueError), match=message):
            client.predict(**{"history": bought, "rationale": "", **wrong}, api_name="/report")
