"""The what-if panel in Chromium with the embedded model, and its endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import Locator, expect

from slim_app.ui import words
from slim_app.ui import words_what_if as said
from tests.conftest import Visitor

Visit = Callable[..., Visitor]
EVIL = '<img src=x onerror="alert(1)">'
PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
THREE = ("Gran Turismo 7", "Logitech G29", "Forza Horizon 4")
WRITTEN = "Step 1: You like racing.\nStep 2:\n1. Racing wheels\nStep 3:\n1. Forza Horizon 5\n2. F1 23"


def short(v: Visitor, titles: tuple[str, ...] = THREE[:2]) -> None:
    """A history of these few purchases, explained."""
    v.press(v.page.get_by_role("button", name=words.CLEAR))
    expect(v.page.locator("#history .name")).to_have_count(0)
    v.press(v.page.get_by_role("button", name=words.PASTE_PANEL))
    v.page.get_by_role("textbox", name=words.PASTE_LABEL).fill("\n".join(titles))
    v.press(v.page.locator("#paste-add"))
    expect(v.page.locator("#history .name")).to_have_count(len(titles))
    v.run()


def open_panel(v: Visitor) -> None:
    v.press(v.page.get_by_role("button", name=said.LINK, exact=True))
    v.page.locator("#what-if-run").wait_for()


def copy(v: Visitor) -> Locator:
    return v.page.locator("#what-if-history .name bdi")


@pytest.mark.browser
def test_a_purchase_is_taken_out_and_both_texts_and_the_ranks_stand_side_by_side(visit: Visit) -> None:
    v = visit()
    expect(v.page.locator("#what-if")).to_be_hidden()  # a calm first screen
    short(v)
    before = v.page.locator("#reasoning .card.s3 .said").all_inner_texts()
    ranked = v.ranked
    open_panel(v)
    expect(copy(v)).to_have_text(v.titles)
    v.page.locator("#what-if-run").click()
    expect(v.page.locator("#what-if-message")).to_contain_text("has not changed")

    remove = v.page.locator("#what-if-history [data-act=remove]").first
    remove.focus()
    remove.press("Enter")
    expect(copy(v)).to_have_text(v.titles[1:])
    expect(v.page.locator("#what-if-history .changes")).to_contain_text("without")
    expect(v.page.locator("#what-if-history :focus")).to_have_count(1)  # the keyboard stays in the list
    v.page.locator("#what-if-run").click()
    texts = v.page.locator("#what-if-texts")
    expect(v.page.locator("#what-if-chart .scatterlayer .trace").first).to_be_visible()
    expect(v.page.locator("#what-if-run")).to_be_enabled()
    assert texts.locator(".card.s3 .w-before .said").all_inner_texts() == before, "the old text is the one above"
    assert len(texts.locator(".card.s3 .w-after .said").all_inner_texts()) == 5
    assert v.ranked == ranked, "what stands above stays as it is"
    table = v.page.locator("#what-if-ranks")
    table.locator("summary").click()
    rows = {
        row.locator("th bdi").inner_text(): row.locator("td").all_inner_texts()
        for row in table.locator("tbody tr").all()
    }
    assert [rows[title][0] for title in ranked] == [str(n) for n in range(1, 11)]
    v.page.get_by_role("checkbox", name=said.DIFF_LABEL).check()
    expect(texts).to_contain_text(said.DIFF_HINT)

    v.page.get_by_role("button", name=said.BACK).click()
    expect(copy(v)).to_have_text(v.titles)
    v.option("#ranker", words.RANKERS["history"])
    v.run()  # another result: the panel begins anew
    expect(texts).to_contain_text(said.EMPTY_LISTS)
    expect(table.locator("table")).to_have_count(0)


@pytest.mark.browser
def test_a_stopped_study_keeps_its_rows_and_faithfulness_is_computed(visit: Visit) -> None:
    v = visit()
    short(v, THREE)
    open_panel(v)
    rows = v.page.locator("#what-if-purchases .effects > li")
    stop = v.page.locator("#what-if-purchases-stop")
    v.page.locator("#what-if-purchases-run").click()
    expect(rows).not_to_have_count(0)
    stop.click()
    expect(v.page.locator("#what-if-purchases-run")).to_be_enabled()
    expect(v.page.locator("#what-if-purchases")).to_contain_text(re.compile(r"Stopped: [12] of 3 done"))
    assert 1 <= rows.count() < 3 and "the list" in rows.first.inner_text()
    expect(stop).to_be_disabled()

    v.page.locator("#what-if-faith-run").click()
    faith = v.page.locator("#what-if-faith tbody tr")
    expect(faith).to_have_count(10)
    assert [row.locator("th > bdi").inner_text() for row in faith.all()] == v.ranked
    expect(v.page.locator("#what-if-faith dl")).to_contain_text(re.compile(r"\d+ of 10 products leave the first 10"))


@pytest.mark.browser
def test_a_recorded_text_and_own_words_on_a_phone(visit: Visit) -> None:
    v = visit(**PHONE)
    v.option("#writer", words.WRITERS["recorded"])
    v.run()
    open_panel(v)
    expect(v.page.locator("#what-if-note")).to_contain_text("recorded in advance")
    expect(v.page.locator("#what-if-run")).to_have_text(said.RUN_BOTH)
    box = v.page.get_by_role("textbox", name=said.SEARCH_LABEL)
    box.fill(EVIL)
    box.press("Enter")
    expect(copy(v).last).to_have_text(EVIL)
    assert v.page.locator("#what-if img").count() == 0
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    v.press(v.page.locator("#what-if-run"))
    expect(v.page.locator("#what-if-texts")).to_contain_text(said.WAITS)
    v.press(v.page.locator("#what-if-stop"))
    expect(v.page.locator("#what-if-texts")).to_contain_text(said.STOPPED)
    expect(v.page.locator("#what-if-run")).to_be_enabled()

    v.option("#ranker", words.RANKERS["history"])
    v.run()
    expect(v.page.locator("#what-if-note")).to_contain_text(said.NO_TEXT)
    box.fill(EVIL)
    box.press("Enter")
    v.press(v.page.locator("#what-if-run"))
    expect(v.page.locator("#what-if-chart .scatterlayer .trace").first).to_be_visible()
    v.press(v.page.locator("#what-if-order-run"))
    expect(v.page.locator("#what-if-order .effects > li")).to_have_count(5)
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


# -- the endpoints ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


def test_what_if_writes_the_old_text_only_where_none_is_given(client: Client) -> None:
    states = list(client.submit(["G311", "G165"], ["G311"], "games", k=3, api_name="/what_if"))
    assert states[0]["new"]["status"] == "waiting" and states[-1]["new"]["status"] == "done"
    last = states[-1]
    assert last["old_rationale"]["complete"] and last["old_rationale"] != last["new"]["rationale"]
    assert all(state["bump"] is None for state in states[:-1]) and last["bump"]["labels"] == ["before", "after"]
    ranks = {line["id"]: line["ranks"] for line in last["bump"]["lines"]}
    assert [ranks[rec["id"]][1] for rec in last["new"]["recommendations"]] == [1, 2, 3]
    assert ranks.get("G165", [None])[0] is None, "it had been bought"

    given = client.predict(["G311", "G165"], ["G311"], "games", "reasoning", 3, "", WRITTEN, api_name="/what_if")
    assert given["old_rationale"]["text"] == WRITTEN
    assert given["new"]["rationale"] == last["new"]["rationale"]


def test_purchases_that_matter_and_faithfulness_without_a_language_model(client: Client) -> None:
    bought = ["G311", "G165", "G332"]
    *_, last = client.submit(bought, "games", "history", 5, api_name="/purchases_that_matter")
    assert (last["status"], last["done"], last["total"]) == ("done", 3, 3)
    assert sorted(effect["row"] for effect in last["effects"]) == [0, 1, 2]
    lefts = [effect["left"] for effect in last["effects"]]
    assert lefts == sorted(lefts, reverse=True) and all(len(effect["shifts"]) == 5 for effect in last["effects"])
    order = client.predict(bought, "games", "history", 5, vary="order", orders=2, api_name="/purchases_that_matter")
    assert [effect["left"] for effect in order["effects"]] == [0, 0], "their average has no order"

    found = client.predict(WRITTEN, bought, "games", k=5, api_name="/faithfulness")
    assert found["explained"] == len(found["items"]) == found["k"] == 5
    assert found["PN"] == sum((i["rank_without"] or 99) > 5 for i in found["items"]) / 5
    assert found["PS"] == sum(i["rank_only"] <= 5 for i in found["items"]) / 5


@pytest.mark.parametrize(
    ("endpoint", "wrong", "message"),
    [
        ("/what_if", {"changed": ["G311"]}, "has not changed"),
        ("/what_if", {"changed": []}, "history is empty"),
        ("/what_if", {"changed": ["G165"], "k": 0}, "a whole number from 1 to 100"),
        ("/what_if", {"changed": ["G165"], "rationale": "Hello."}, "none of the three steps"),
        ("/what_if", {"changed": ["G165"], "rationale": WRITTEN, "ranker": "history"}, "reads no rationale"),
        ("/what_if", {"changed": ["G165"], "rationale": "x" * 20_001}, "at most 20,000"),
        ("/what_if", {"changed": ["G165"], "rationale": WRITTEN, "writer": "recorded"}, "only for the unchanged"),
        ("/purchases_that_matter", {}, "at least two purchases"),
        ("/purchases_that_matter", {"vary": "order", "ranker": "history"}, "no other order"),
        ("/faithfulness", {"rationale": " "}, "The rationale is empty"),
        ("/faithfulness", {"rationale": WRITTEN, "ranker": "sequence"}, "reads no rationale"),
    ],
)
def test_wrong_questions_get_a_sentence(client: Client, endpoint: str, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError, match=re.escape(message)):
        client.predict(api_name=endpoint, **{"history": ["G311"], **wrong})
