"""The page in Chromium: the first visit, a history of one's own, a run, its parts and its files."""

from __future__ import annotations

import csv
import io
import json
import re
from base64 import b64decode
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, expect

from slim_app.prompts import student_prompt
from slim_app.schema import Item
from slim_app.ui import words
from tests.conftest import ROOT, Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
SOON = 5_000  # milliseconds for what is expected to fail: nobody wants to wait a minute for it
TUNED = (ROOT / "assets/students/smollm2-135m/meta.json").is_file()


def rows(domain: str, name: str) -> list[dict]:
    return [json.loads(line) for line in (ROOT / "assets/domains" / domain / name).read_text("utf-8").splitlines()]


def samples(domain: str, row: int) -> tuple[dict, list[Item]]:
    """A sample shopper of a domain and the purchases."""
    items = {item["id"]: Item(**item) for item in rows(domain, "items.jsonl")}
    shopper = rows(domain, "shoppers.jsonl")[row]
    return shopper, [items[key] for key in shopper["history"]]


def names(v: Visitor) -> Locator:
    return v.page.locator("#history .name bdi")


def box(v: Visitor) -> Locator:
    return v.page.get_by_role("textbox", name=words.SEARCH_LABEL)


def type_search(v: Visitor, text: str) -> Locator:
    """Type into the search box and wait for the hits of exactly this text. Gradio listens to keys, not to `fill`."""
    box(v).press("Control+a")
    box(v).press_sequentially(text)
    expect(v.page.locator("#hits .own")).to_contain_text(f"“{text}”")
    return v.page.locator("#hits button[data-act=add]")


def test_first_visit_is_one_click_from_a_result(visit: Visit) -> None:
    v = visit()
    shopper, bought = samples("games", 0)
    expect(names(v)).to_have_text([item.title for item in bought])
    expect(v.page.get_by_role("button", name=shopper["name"])).to_have_attribute("aria-pressed", "true")
    expect(v.page.locator("#stop")).to_be_disabled()
    assert v.page.inner_text("#run") == words.RUN
    expect(v.page.locator("#reasoning")).to_contain_text(words.EMPTY_STEP[2])
    expect(v.page.locator("#ranking")).to_contain_text(words.EMPTY_RANKING)
    assert ("untuned" in v.page.inner_text("#header")) is not TUNED

    v.start()
    expect(v.page.locator("#stop")).to_be_enabled()
    expect(v.page.locator("#run")).to_be_disabled()
    v.ended()
    for step in (1, 2, 3):
        entries = v.page.locator(f"#reasoning .card.s{step} .seg").all_inner_texts()
        assert len(entries) >= (1 if step == 1 else 5) and all(entry.strip() for entry in entries)
    shown = v.page.locator("#reasoning").inner_text()
    assert re.search(r"\d+\.\d s · \d+ tokens/s · \d+ tokens", shown) and words.INCOMPLETE not in shown
    assert ("untuned" in v.page.locator("#reasoning .figures").inner_text()) is not TUNED
    assert words.MARKS["missing"][1] in v.page.locator("#reasoning .counts").inner_text()
    assert len(v.ranked) == 10 and not set(v.ranked) & set(v.titles)
    for rec in v.page.locator("#ranking .rec").all():
        assert re.search(rf"{words.PUT_HERE_BY} [①②③] \S.*\n+(without it|nothing else)", rec.inner_text())
        assert re.search(r"\b0\.\d\d\b", rec.locator(".score").inner_text())
    v.page.get_by_role("button", name=words.PROMPT_PANEL).click()
    expect(v.page.locator("#prompt pre")).to_have_text(student_prompt(bought))


def test_a_history_is_built_by_hand(visit: Visit) -> None:
    v = visit()
    v.page.get_by_role("button", name=words.CLEAR).click()
    expect(v.page.locator("#history")).to_contain_text(words.HISTORY_EMPTY)
    v.run()
    expect(v.page.locator("#reasoning .error")).to_contain_text("The purchase history is empty")

    type_search(v, "gran turismo 7").first.click()
    expect(names(v)).to_have_text([re.compile("Gran Turismo 7")])
    expect(box(v)).to_have_value("")
    type_search(v, "halo inf")
    box(v).press("Enter")
    expect(names(v)).to_have_text([re.compile("Gran Turismo 7"), re.compile("Halo Infinite")])
    type_search(v, "A boat in a bottle")
    v.page.locator("#hits .own").click()
    expect(names(v).last).to_have_text("A boat in a bottle")
    expect(v.page.locator("#history li").last).to_contain_text(words.OWN_WORDS)
    assert v.page.locator("#history .tag").count() == 1
    racing, halo, boat = v.titles
    v.page.get_by_role("button", name=f"Move earlier: {boat}").click()
    expect(names(v)).to_have_text([racing, boat, halo])
    v.page.get_by_role("button", name=f"Move later: {racing}").click()
    expect(names(v)).to_have_text([boat, racing, halo])
    expect(v.page.get_by_role("button", name=f"Move earlier: {boat}")).to_be_disabled()
    expect(v.page.get_by_role("button", name=f"Move later: {halo}")).to_be_disabled()
    v.page.get_by_role("button", name=f"Remove: {racing}").click()
    expect(names(v)).to_have_text([boat, halo])


def test_the_hits_are_gone_once_one_is_added(visit: Visit) -> None:
    v = visit()
    box(v).press_sequentially("forza motor")
    box(v).press("Enter")  # at once: the answer to the last letter is still on its way
    expect(names(v).last).to_have_text(re.compile("Forza Motorsport"))
    expect(box(v)).to_have_value("")
    expect(v.page.locator("#hits button").first).to_be_hidden()


def test_the_hits_follow_what_is_deleted(visit: Visit) -> None:
    v = visit()
    type_search(v, "zelda")
    box(v).press("Backspace")
    expect(v.page.locator("#hits .own")).to_contain_text("“zeld”", timeout=SOON)


def test_enter_in_an_empty_search_box_does_nothing(visit: Visit) -> None:
    v = visit()
    with v.page.expect_response("**/run/predict") as answer:
        box(v).press("Enter")
    v.faults.clear()  # the console line about the status is not what is tested
    assert answer.value.ok


def test_lines_and_files_become_purchases(visit: Visit) -> None:
    v = visit()
    v.page.get_by_role("button", name=words.CLEAR).click()
    v.page.get_by_role("button", name=words.PASTE_PANEL).click()
    paste = v.page.get_by_role("textbox", name=words.PASTE_LABEL)
    paste.fill("gran turismo 7 - playstaton 5\n\n  A thing of my own \nHades")
    v.page.click("#paste-add")
    pasted = [re.compile("^Gran Turismo 7 - PlayStation 5$"), "A thing of my own", re.compile("^Hades - ")]
    expect(names(v)).to_have_text(pasted)
    expect(paste).to_have_value("")
    expect(v.page.locator("#message")).to_contain_text("3 purchases added, 1 of them in your own words.")

    def upload(name: str, text: str) -> None:
        data = {"name": name, "mimeType": "text/plain", "buffer": text.encode()}
        v.page.locator("#history-file input[type=file]").set_input_files(files=[data])

    upload("bought.csv", "sku;name\nG311;\n;Something else\n")
    expect(names(v)).to_have_text([*pasted, "Xbox One S 1TB Console", "Something else"])
    upload("bought.jsonl", '{"id": "G165"}\n{"title": "Hollow Knight of mine"}\n')
    expect(names(v).nth(5)).to_have_text("Forza Horizon 4 - Xbox One")
    expect(names(v).nth(6)).to_have_text("Hollow Knight of mine")
    upload("bad.csv", "colour,size\nred,1\n")
    expect(v.page.locator("#message .error")).to_contain_text("no “title” column")
    assert len(v.titles) == 7


def test_other_samples_and_other_domains(visit: Visit) -> None:
    v = visit()
    shopper, bought = samples("games", 2)
    v.page.get_by_role("button", name=shopper["name"]).click()
    expect(names(v)).to_have_text([item.title for item in bought])
    last, bought = samples("games", -1)
    more = v.page.get_by_role("combobox", name=words.SAMPLES_LABEL)
    more.click()
    more.press("Control+a")
    more.press_sequentially(last["name"])  # the list is long: typing finds an entry
    v.page.get_by_role("option", name=last["name"], exact=True).click()
    expect(names(v)).to_have_text([item.title for item in bought])
    expect(v.page.get_by_role("button", name=last["name"])).to_have_attribute("aria-pressed", "true")

    v.page.get_by_role("radio", name="Food").check()
    shopper, bought = samples("food", 0)
    expect(names(v)).to_have_text([item.title for item in bought])
    assert type_search(v, "coffee").count() > 0
    v.option("#ranker", words.RANKERS["history"])
    v.run()
    assert v.ranked and set(v.ranked) <= {item["title"] for item in rows("food", "items.jsonl")}


def test_purchases_alone_rank_without_a_model_and_k_is_adjustable(visit: Visit) -> None:
    v = visit()
    v.option("#ranker", words.RANKERS["history"])
    expect(v.page.locator("#run")).to_have_text(words.RUN_HISTORY)
    v.run()
    expect(v.page.locator("#reasoning")).to_have_text(re.compile(words.NO_REASONING))
    evidence = v.page.locator("#ranking .rec .chip bdi").all_inner_texts()
    assert len(evidence) == 10 and set(evidence) <= set(v.titles)
    expect(v.page.locator("#reasoning .waiting")).to_be_hidden()
    first = v.ranked
    v.run()
    expect(v.page.locator("#reasoning .waiting")).to_be_hidden()  # the same page again: still not waiting
    for k in (3, 25):
        v.page.locator("#k input[type=number]").fill(str(k))
        v.page.locator("#k input[type=number]").press("Tab")
        v.run()
        assert len(v.ranked) == k and v.ranked[:3] == first[:3]


def test_stop_keeps_the_partial_text_and_frees_the_button(visit: Visit) -> None:
    v = visit()
    v.start()
    v.page.locator("#reasoning .seg").first.wait_for()
    v.page.click("#stop")
    v.ended()
    reasoning = v.page.locator("#reasoning")
    expect(reasoning.locator(".flag")).to_have_text(words.INCOMPLETE)
    expect(reasoning).to_contain_text(words.STOPPED)
    assert reasoning.locator(".seg").first.inner_text().strip()
    assert reasoning.locator(".card.s3 .seg").count() < 5
    assert len(v.ranked) == 10  # ranked by what was written


def test_a_recorded_run_is_labelled_and_its_files_can_be_kept(visit: Visit) -> None:
    v = visit()
    shopper, _ = samples("games", 0)
    v.option("#writer", words.WRITERS["recorded"])
    v.run()
    text = v.page.inner_text("#reasoning")
    assert "recorded" in v.page.locator("#reasoning .figures").inner_text() and "Written in advance" in text
    assert v.page.locator("#reasoning .card.s3 .seg .said").all_inner_texts() == shopper["step3"]
    links = [v.page.get_by_role("link", name=name) for name in (words.DOWNLOAD_CSV, words.DOWNLOAD_JSON)]
    files = [b64decode(link.get_attribute("href").partition("base64,")[2]).decode() for link in links]
    table, answer = list(csv.DictReader(io.StringIO(files[0]))), json.loads(files[1])
    assert [row["title"] for row in table] == v.ranked == [r["title"] for r in answer["recommendations"]]
    assert answer["model"]["kind"] == "recorded" and answer["rationale"]["step3"] == shopper["step3"]
    with v.page.expect_download() as download:
        links[0].click()
    assert download.value.suggested_filename == "slim-games.csv"

    rec = v.page.locator("#ranking .rec").first
    key = rec.get_attribute("data-seg")
    segment = v.page.locator(f"#reasoning .seg[data-seg='{key}']")
    rec.hover()
    expect(segment).to_contain_class("lit")
    v.page.locator("#header h1").hover()
    expect(segment).not_to_contain_class("lit")
    segment.locator("bdi").first.hover()
    expect(rec).to_contain_class("lit")
    expect(v.page.locator(f"#reasoning .seg.lit:not([data-seg='{key}'])")).to_have_count(0)

    v.page.locator("#history button[data-act=remove]").last.click()
    expect(v.page.locator("#message")).to_contain_text(words.STALE)
    v.run()
    expect(v.page.locator("#reasoning .error")).to_contain_text("only for the unchanged sample histories")
    expect(v.page.locator("#reasoning .error")).to_contain_text("Pick a sample again")
