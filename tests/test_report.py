"""Report cards: valid HTML that holds everything, runs nothing and asks nobody."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import datetime, timezone

import html5lib
import pytest
from conftest import FakeEncoder, make_domain

from slim_app.compare_state import CompareState, SideState
from slim_app.comparison import summarise
from slim_app.faithfulness import faithfulness
from slim_app.pipeline import rank_rationale
from slim_app.rationale_edits import Edits
from slim_app.recommenders.text_match import RANKERS
from slim_app.report import SCHEMA, file_name, report, to_html, to_json
from slim_app.schema import Item, ModelInfo, RunStats, State
from slim_app.steering import steer
from slim_app.versions import Digests

MADE = datetime(2025, 3, 1, 12, 30, tzinfo=timezone.utc)
TEXT = "Step 1: You like racing.\nStep 2:\n1. Racing Games\nStep 3:\n1. Forza Horizon 5\n2. Nothing like it"
EVIL = [
    "<script>alert(1)</script>",
    "</style></title></textarea><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "</pre><iframe srcdoc='<script>alert(1)</script>'>",
    "{{ 7*7 }}{% raw %}",
    "<!-- -->]]><![CDATA[",
    "&lt;script&gt;&#60;b&#62;",
    "\u202eevil\u2066",
    "\x00\x01\x1b[31m\x7f\x9f\ufdd0\uffff\U0001fffe",
    "\ud800 lone",
    "\nfirst line break",
]
ALLOWED = set(
    "html head meta title style body header main section article h1 h2 h3 p ol ul li span bdi del details summary pre "
    "div table caption thead tbody tr th td".split()
)


def case(evil: str = "", items: int = 4) -> dict:
    """A card with every part filled, and `evil` in every field that a stranger can fill."""
    encoder = FakeEncoder(dimension=16)
    catalogue = [Item(f"G{n}{evil}", f"Game {n}{evil}", f"Maker{evil}", f"Kind{evil}", evil) for n in range(items)]
    domain = replace(make_domain(catalogue, encoder, "tiny"), label=f"Tiny{evil}", note=f"Note{evil}")
    history, ranker = [catalogue[0], Item("", f"Own{evil}")], RANKERS["reasoning"]
    state = rank_rationale(f"{TEXT}\n3. Extra {evil}", history, domain, ranker, encoder, 3)
    info = ModelInfo(f"Model{evil}", f"base{evil}", f"adapter{evil}", True, "1", "live", f"CPU{evil}", f"Said{evil}")
    state = replace(state, model=info, error=f"Error{evil}", notices=(f"Notice{evil}",), ranker_notes=(f"Rank{evil}",),
                    stats=RunStats(tokens=5, seconds=2.0, first_token_seconds=1.0))  # fmt: skip
    edits = Edits.of(state.rationale).strike("2.1").weigh("3.1", 2).rewrite("1.1", f"New words{evil}")
    *_, steered = steer(edits.add(3, f"Added{evil}"), history, domain, ranker, encoder, 3)
    sides = tuple(
        SideState(key, "student", "live", replace(info, name=f"{key}{evil}"), "finished", state.rationale.text,
                  state.rationale, state.stats, notice=f"Side{evil}")
        for key in "AB"
    )  # fmt: skip
    compared = summarise(sides, history, domain, encoder, ranker, catalogue[1].id, 3)
    failed = SideState("C", "teacher", "live", info, "failed", error=f"Failed{evil}")
    return report(
        state, history, domain, 3, digests=Digests("m" * 12, "p" * 12, "c" * 12), seed=7, steered=steered,
        faithful=faithfulness(state.recommendations, history, state.rationale, domain, ranker, encoder),
        comparison=CompareState("id", (*sides, failed), "done", compared, f"Trouble{evil}").as_dict(),
        link=f"?s=1.abc{evil}", made=MADE,
    )  # fmt: skip


def parsed(page: str):
    """The page's tree; any parse error of the HTML standard fails the test."""
    page.encode("utf-8")
    return html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)


def text_of(tree) -> str:
    return "".join(tree.itertext())


@pytest.mark.parametrize("evil", ["", *EVIL], ids=lambda text: repr(text)[:20])
def test_the_page_is_valid_and_holds_no_one_elses_markup(evil):
    card = case(evil)
    tree = parsed(to_html(card))
    for element in tree.iter():
        assert element.tag in ALLOWED, element.tag
        assert set(element.attrib) <= {
            "lang", "charset", "http-equiv", "content", "name", "class", "title", "scope", "aria-hidden",
        }, element.attrib  # fmt: skip
    text = text_of(tree)
    for visible in (card["history"][0]["title"], card["result"]["error"], card["comparison"]["sides"][0]["notice"]):
        assert visible in text, "as it is, but for what no page may hold"
    if evil.isprintable():
        assert card["history"][0]["title"] == f"Game 0{evil}"


def strings(value, skip=("schema", "key", "status", "kind", "index")) -> set[str]:
    if isinstance(value, dict):
        return set().union(*(strings(entry) for name, entry in value.items() if name not in skip))
    if isinstance(value, list):
        return set().union(*map(strings, value))
    return {value} if isinstance(value, str) and value else set()


def test_page_and_json_have_the_same_content():
    card = case()
    assert json.loads(to_json(card)) == json.loads(json.dumps(card))
    assert card["schema"] == SCHEMA
    tree = parsed(to_html(card))
    text = " ".join(text_of(tree).split())
    attributes = {value for element in tree.iter() for value in element.attrib.values()}
    internal = set("tiny id done student teacher series product brand category".split()) | {"category or brand"}
    for string in strings(card) - internal:
        assert " ".join(string.split()) in text or string in attributes, string
    for rank in card["result"]["recommendations"]:
        assert f"{rank['score']:.4f}" in text and str(rank["evidence"]["rank_without"]) in text
    assert f"F = {card['faithfulness']['F']}" in text and "mmmmmmmmmmmm" in text
    assert re.search(r"Seed ?7\b", text)


def test_it_asks_nobody_and_runs_nothing():
    page = to_html(case())
    assert "default-src 'none'" in page
    assert not re.search(r"(?i)<script|<link|<img|@import|url\(|href=|src=|https?:", page)
    assert "prefers-color-scheme: dark" in page and "@media print" in page
    assert parsed(page).find("body") is not None


def test_a_card_without_the_optional_parts():
    encoder = FakeEncoder(dimension=16)
    domain = make_domain([Item("1", "Lamp"), Item("2", "Bulb")], encoder)
    state = rank_rationale("Step 1: x", [], domain, RANKERS["reasoning"], encoder, 5)
    card = report(state, [], domain, 5, digests=Digests(), made=MADE)
    text = text_of(parsed(to_html(card)))
    assert "nothing left" in text and "unknown" in text and "Compared" not in text and "Steered" not in text
    assert "nothing is drawn" in text
    assert card["comparison"] is None and card["steering"] is None and card["seed"] is None


def test_old_purchases_are_marked_as_not_read():
    encoder = FakeEncoder(dimension=16)
    domain = make_domain([Item("1", "Lamp"), Item("2", "Bulb")], encoder)
    history = [Item("", f"Thing {n}") for n in range(21)]
    state = rank_rationale("Step 1: x", history, domain, RANKERS["reasoning"], encoder, 1)
    card = report(state, history, domain, 1, digests=Digests(), made=MADE)
    assert [row["read"] for row in card["history"]] == [False] + [True] * 20
    assert text_of(parsed(to_html(card))).count("too old to be read") == 1


def test_what_is_no_number_becomes_null():
    state = replace(State("done"), stats=RunStats(seconds=float("nan"), first_token_seconds=float("inf")))
    encoder = FakeEncoder(dimension=16)
    card = report(state, [], make_domain([Item("1", "Lamp")], encoder), 5, digests=Digests(), made=MADE)
    stats = json.loads(to_json(card))["result"]["stats"]
    assert (stats["seconds"], stats["first_token_seconds"]) == (None, None)
    parsed(to_html(card))


def test_the_file_name_cannot_leave_its_folder():
    card = case()
    assert file_name(card, "html") == "slim-tiny-20250301123000.html"
    card["domain"]["name"] = "../../etc/passwd\n<x>"
    assert re.fullmatch(r"slim-etcpasswdx-\d{14}\.json", file_name(card, "json"))
    card["domain"]["name"] = "任天堂"
    assert file_name(card, "json").startswith("slim-report-")
