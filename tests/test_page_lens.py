"""Trained recommenders on the page and in the API: the choice, the notes, and the lens whose slider moves the list."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError
from playwright.sync_api import expect

from slim_app.ui import words
from tests.conftest import Visitor

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
FUSED = words.RANKERS["fused"].format(backbone="SASRec")
ALONE = words.RANKERS["sequence"].format(backbone="SASRec")
SIMULATED = re.compile("2,000 simulated shoppers with [0-9,]+ purchases and simulated rationales")


def here(v: Visitor) -> list[str]:
    return v.page.locator("#lens-table tbody td:nth-child(2) bdi").all_inner_texts()


def fused_run(v: Visitor) -> None:
    v.option("#writer", words.WRITERS["recorded"])
    v.option("#ranker", FUSED)
    v.run()


def test_the_slider_moves_both_lists_and_finds_back(visit: Visit) -> None:
    v = visit()
    expect(v.page.locator("#lens")).to_be_hidden()  # a calm first screen
    fused_run(v)
    expect(v.page.locator("#ranking")).to_contain_text(SIMULATED)
    learned = v.ranked
    v.page.get_by_role("button", name=words.LENS_LINK, exact=True).click()
    expect(v.page.locator("#lens-chart .scatterlayer .trace").first).to_be_visible()
    assert here(v) == learned and len(learned) == 10
    slider = v.page.get_by_role("slider", name=re.compile("Weight of the reasoning"))
    at_first = int(slider.input_value())
    assert 5 < at_first < 95
    expect(v.page.locator("#lens-ends")).to_contain_text(words.LENS_AT_LEARNED.format(learned=at_first))

    slider.press("End")
    expect(v.page.locator("#ranking")).to_contain_text("Weighed by hand: reasoning 100 %")
    assert here(v) == v.ranked != learned
    ranks = v.page.locator("#lens-table tbody td:nth-child(4)").all_inner_texts()
    assert ranks == [str(n) for n in range(1, 11)]  # by the reasoning alone
    slider.press("Home")
    expect(v.page.locator("#ranking")).to_contain_text("Weighed by hand: reasoning 0 %")
    ranks = v.page.locator("#lens-table tbody td:nth-child(3)").all_inner_texts()
    assert ranks == [str(n) for n in range(1, 11)]  # by the purchases alone
    expect(v.page.locator("#lens-moved .lens-group")).to_contain_text([words.RESCUED[1], words.HURT[1]])
    alone = v.ranked

    v.page.get_by_role("button", name="Back to the learned weight").click()
    expect(v.page.locator("#ranking")).not_to_contain_text("Weighed by hand")
    expect(slider).to_have_value(str(at_first))
    assert here(v) == v.ranked == learned

    v.option("#ranker", ALONE)
    expect(v.page.locator("#run")).to_have_text(words.RUN_HISTORY)
    v.run()
    assert v.ranked == alone, "the left end of the slider is the recommender without the reasoning"
    expect(v.page.locator("#lens")).to_be_hidden()
    expect(v.page.locator("#ranking")).to_contain_text(SIMULATED)


def test_every_choice_says_what_it_does(visit: Visit) -> None:
    v = visit()
    v.option("#ranker", FUSED)
    line = words.RANKER_HELP["fused"].format(backbone="SASRec")
    expect(v.page.locator("#ranker-help")).to_have_text(line)
    other = v.page.locator("#ranker label").filter(has_text=ALONE)
    other.hover()
    expect(other).to_have_attribute("title", words.RANKER_HELP["sequence"])
    v.page.get_by_role("radio", name="Food").check()
    expect(v.page.locator("#ranker").get_by_role("radio", name=FUSED)).to_be_checked()
    v.page.get_by_role("radio", name=words.OWN_CATALOGUE).check()
    expect(v.page.locator("#ranker").get_by_text(FUSED)).to_have_count(0)  # no recommender comes with it
    expect(v.page.locator("#ranker").get_by_role("radio", name=words.RANKERS["reasoning"], exact=True)).to_be_checked()


def test_what_has_no_id_is_said_and_the_lens_is_there_for_text_matching_too(visit: Visit) -> None:
    v = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    v.option("#writer", words.WRITERS["recorded"])
    v.run()
    expect(v.page.locator("#lens")).to_be_visible()
    expect(v.page.locator("#lens-table")).to_be_hidden()  # folded: the list above is not its own
    v.press(v.page.get_by_role("button", name=words.LENS_PANEL))
    expect(v.page.locator("#lens-head")).to_contain_text(words.LENS_OTHER)
    assert len(here(v)) == 10 and here(v) != v.ranked
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0

    v.press(v.page.get_by_role("button", name=words.CLEAR))
    box = v.page.get_by_role("textbox", name=words.SEARCH_LABEL)
    box.press_sequentially("A boat in a bottle")
    expect(v.page.locator("#hits .own")).to_contain_text("bottle”")
    v.press(v.page.locator("#hits .own"))
    expect(v.page.locator("#history .name bdi")).to_have_text(["A boat in a bottle"])
    v.option("#ranker", ALONE)
    v.run()
    expect(v.page.locator("#reasoning .error")).to_contain_text("SASRec knows none of your purchases")


# -- the API ----------------------------------------------------------------------------------------------------------

def test_the_endpoints_know_the_trained_rankers(app_url: str) -> None:
    client = Client(app_url, verbose=False)
    bought = ["G311", "G165", "Something of my own"]
    answer = client.predict(bought, "games", "sequence", 5, api_name="/recommend")
    assert answer["ranker"] == "sequence" and answer["stats"]["tokens"] == 0
    assert SIMULATED.search(answer["ranker_notes"][0]) and "knows 2 of your 3" in answer["ranker_notes"][1]
    written = "Step 3:\n1. Forza Horizon 5\n2. Racing wheel"
    fused = client.predict(written, "games", bought, 5, "fused", api_name="/rank")["recommendations"]
    text = client.predict(written, "games", bought, 5, api_name="/rank")["recommendations"]
    assert fused != text and all(r["rank_sequence"] and r["rank_reasoning"] for r in fused)
    assert text[0]["rank_sequence"] is None
    with pytest.raises(AppError, match="reads no rationale"):
        client.predict(written, "games", bought, 5, "sequence", api_name="/rank")
    domains = client.predict(api_name="/domains")
    assert all({"fused", "sequence"} <= set(d["rankers"]) and "simulated" in d["trained_on"] for d in domains)
