"""Report cards and links of the page: they hold what is shown, come back as they were, and keep no secret."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from types import SimpleNamespace

import pytest
from conftest import TINY, FakeEncoder, make_domain

from slim_app.compare_state import CompareState, SideState
from slim_app.comparison import summarise
from slim_app.errors import SlimError
from slim_app.permalink import Link, decode, encode
from slim_app.pipeline import rank_rationale
from slim_app.rationale_edits import Edits
from slim_app.recommenders.text_match import RANKERS
from slim_app.report_card import card_of, link_of, own_edits
from slim_app.schema import Item, ModelInfo, RunStats, Shopper
from slim_app.services import Services
from slim_app.ui import words_report as said
from slim_app.ui.desks import Desk, Desks
from slim_app.ui.page import build_page
from slim_app.ui.report_links import Shown, address_of, of_comparison, of_run
from slim_app.ui.restoring import restored
from slim_app.ui.what_if_handlers import WhatIfHandlers
from slim_app.ui.what_if_plan import Subject, plan_of

TEXT = "Step 1: You like racing.\nStep 2:\n1. Racing Games\n2. Wheels\nStep 3:\n1. F1 24\n2. Forza Horizon 5"
EVIL = "<img src=x onerror=alert(1)>"
KEY = "sk-Secret-0123456789"


class Student:
    """A writer that is never asked to write."""

    info = ModelInfo("Student", "base", "", True, "1", "live", "CPU")
    api_key = KEY


@pytest.fixture
def services() -> Services:
    encoder = FakeEncoder(dimension=16)
    shopper = Shopper("s1", "One", ("G1", "G7"), "G3")
    domains = {
        "tiny": replace(make_domain(TINY, encoder), shoppers=(shopper,)),
        "other": replace(make_domain(TINY[2:], encoder, "other"), shoppers=(Shopper("o1", "Two", ("G4",)),)),
    }
    return Services(domains, encoder, reasoners={"student": Student(), "base": Student()})


def run(services: Services, name: str = "other", own=None, evil: str = "", ranker: str = "reasoning", k: int = 4):
    """A finished run, as the page holds it."""
    domain = services.domain(name, own)
    history = (domain.catalog.items[1], Item("", f"My own lamp{evil}"))
    state = rank_rationale(f"{TEXT}{evil}", history, domain, RANKERS[ranker], services.encoder, k)
    return replace(state, model=replace(Student.info, name=f"Student{evil}"), writer="student")


def clicked(services: Services, state, act: str, edits=None, own=None, desks=None, made=None, steered=None) -> dict:
    page = Shown(state, own, made, state, edits, steered)
    return of_run(services, desks or Desks(), page, "me", "http://here/", act)


def arrive(services: Services, query: dict[str, str]) -> dict[str, object]:
    """What the page's load event answers, by the ids of the parts (other parts by their labels)."""
    page = build_page(services)
    load = next(event for event in page.fns.values() if getattr(event.fn, "__name__", "") == "arrive")
    assert [kind for _, kind in load.targets] == ["load"] and load.api_visibility == "private"
    answer = load.fn(SimpleNamespace(query_params=query))
    if not isinstance(answer, dict) or "__type__" in answer:
        return {}
    assert set(answer) <= set(load.outputs), "only parts that the event may change"
    return {getattr(part, "elem_id", None) or f"state {n}": value for n, (part, value) in enumerate(answer.items())}


def states(answer: dict[str, object], kind: type) -> list:
    return [value for name, value in answer.items() if name.startswith("state") and isinstance(value, kind)]


# -- links ------------------------------------------------------------------------------------------------------------

def test_a_link_brings_the_page_back_without_a_language_model(services):
    state = run(services)
    edits = Edits.of(state.rationale).strike("2.1").weigh("3.1", 2.5).rewrite("3.2", "Minecraft").add(2, "Seats")
    made = clicked(services, state, "link", edits)
    found = restored(services, {"s": made["link"], "theme": "dark"})
    assert (found.domain, found.ranker, found.k, found.writer) == ("other", "reasoning", 4, "student")
    assert found.bound is False
    assert tuple(found.history) == state.history == found.state.history
    assert found.state.recommendations == state.recommendations and found.state.grounding == state.grounding
    assert found.state.rationale.text == state.rationale.text and found.edits.now == edits.now
    assert found.notices == (said.RESTORED,), "nothing has changed since"
    assert found.state.model.kind == "link" and "Student" in found.state.model.note
    # a link of the page that came back is the same link
    assert clicked(services, found.state, "link", found.edits, made=found.made)["link"] == made["link"]

    page = arrive(services, {"s": made["link"]})
    assert page["domain"] == "other" and page["k"] == 4 and page["writer"] == "student"
    assert page["ranker"]["value"] == "reasoning" and page["own-catalogue"]["visible"] is False
    assert "My own lamp" in page["history"] and "You like racing." in page["reasoning"]
    assert all(r.title.split(" - ")[0] in page["ranking"] for r in state.recommendations)
    assert said.RESTORED in page["message"]


def test_other_rankers_and_pages_without_a_link(services):
    assert arrive(services, {}) == {} and restored(services, {"theme": "dark"}) is None
    state = replace(run(services, ranker="reasoning"), ranker="history", writer="")
    state = replace(state, rationale=replace(state.rationale, text="", step1=(), step2=(), step3=()))
    found = restored(services, {"s": link_of(services, state)})
    assert found.state.model.kind == "none" and found.state.recommendations and found.writer is None
    assert found.notices == (said.RESTORED_LIST,)


def test_it_says_what_has_changed_since(services):
    text = clicked(services, run(services, "tiny"), "link")["link"]
    services.reasoners["student"].info = replace(Student.info, adapter="another")
    del services.domains["other"]
    items = [item for item in TINY if item.id != "G2"]
    services.domains["tiny"] = make_domain(items, services.encoder)
    found = restored(services, {"s": text})
    begins = [said.RESTORED, "Another model", "The catalogue has changed", "No longer in the catalogue"]
    assert len(found.notices) == 4 and all(map(str.startswith, found.notices, begins))
    assert [item.title for item in found.history] == [TINY[1].title, "My own lamp"], "kept in its own words"

    link = decode(text)
    del services.reasoners["student"]
    lines = restored(services, {"s": encode(replace(link, ranker="fused", bound=True))}).notices
    assert not any("trained anew" in line for line in lines), "it is not there at all"
    assert said.RANKER_CHANGED.format(ranker="fused") in lines and said.WRITER_CHANGED.format(writer="Student") in lines
    lines = restored(services, {"s": encode(replace(link, writer="base", bound=True))}).notices
    assert said.UNBOUND in lines


def test_what_ranked_a_restored_list_is_of_today(services):
    """The text came with the link, the list did not: the report must not date it back."""
    text = clicked(services, run(services, "tiny"), "link")["link"]
    services.domains["tiny"] = make_domain(TINY[:-1], services.encoder)
    found = restored(services, {"s": text})
    assert any("catalogue has changed" in line for line in found.notices)
    old, again = decode(text), decode(clicked(services, found.state, "link", made=found.made)["link"])
    card = json.loads(clicked(services, found.state, "json", made=found.made)["text"])
    assert (again.digests.model, again.digests.prompt) == (old.digests.model, old.digests.prompt)
    assert again.digests.catalogue != old.digests.catalogue
    assert card["versions"]["digests"] == again.digests.as_dict()
    assert restored(services, {"s": encode(again)}).notices == (said.RESTORED,), "it shows what was seen"


def test_a_text_that_was_cut_off_stays_incomplete(services):
    state = run(services)
    assert state.rationale.complete
    cut = replace(state, status="stopped", rationale=replace(state.rationale, complete=False))
    found = restored(services, {"s": link_of(services, cut)})
    assert not found.state.rationale.complete and any("cut off" in line for line in found.state.notices)
    assert decode(link_of(services, found.state, made=found.made)).cut and not decode(link_of(services, state)).cut


def test_a_run_without_a_list_comes_back_with_the_usual_length(services):
    stopped = replace(run(services), status="stopped", recommendations=())
    assert restored(services, {"s": link_of(services, stopped)}).k == 10


def test_a_what_if_of_a_restored_page_asks_about_the_text_as_it_was_written(services):
    state = run(services)
    edits = Edits.of(state.rationale).strike("3.1").weigh("2.1", 2)
    page = arrive(services, {"s": link_of(services, state, edits)})
    (subject,) = states(page, Subject)
    assert subject.state.rationale.text == state.rationale.text
    assert subject.state.recommendations == state.recommendations


def test_a_what_if_of_a_bound_link_writes_freely_where_nobody_can_be_bound(services):
    """The page has said so on arrival; a refusal would leave nothing to choose."""
    state = replace(run(services), model=ModelInfo(said.FROM_LINK, kind="link", bound=True))
    plan = plan_of(services, state, True)
    _, writer, _ = WhatIfHandlers(services)._parts(plan, None)
    assert writer is services.reasoners[plan.writer]


def packed(value: object) -> str:
    return "1." + base64.urlsafe_b64encode(zlib.compress(json.dumps(value).encode())).decode().rstrip("=")


@pytest.mark.parametrize("text", [
    "x", "1.", "2.abc", "1.<script>alert(1)</script>", "1." + "A" * 9_000, packed({}), packed([1]), packed({"d": EVIL}),
    encode(Link(EVIL, (), "reasoning")), encode(Link("own", (), "reasoning")),
    encode(Link("tiny", (), "reasoning", k=0)),
    encode(Link("tiny", (TINY[0],), "reasoning", k=1_000_000)),
    encode(Link("tiny", (TINY[0],), "reasoning", rationale="no steps at all")),
])  # fmt: skip
def test_hostile_links_show_one_sentence_and_the_page_as_it_is(services, text):
    with pytest.raises(SlimError):
        restored(services, {"s": text})
    page = arrive(services, {"s": text})
    assert list(page) == ["message"] and page["message"].count("<p") == 1 and 'role="alert"' in page["message"]
    assert "<img" not in page["message"] and "<script" not in page["message"]


def test_what_a_link_brings_is_escaped(services):
    link = Link("tiny", (Item("", f"Lamp {EVIL}"),), "reasoning", 5, EVIL, f"{TEXT} {EVIL}")
    page = arrive(services, {"s": encode(link)})
    drawn = "".join(str(value) for name, value in page.items() if not name.startswith("state"))
    assert "&lt;img src=x" in page["history"] and "&lt;img src=x" in page["reasoning"] and "<img" not in drawn


def test_a_visitors_own_catalogue_has_a_report_but_no_link(services):
    own = make_domain(TINY, services.encoder, "own")
    state = run(services, "own", own)
    with pytest.raises(SlimError, match="A link cannot hold a catalogue that you brought"):
        clicked(services, state, "link", own=own)
    card = json.loads(clicked(services, state, "json", own=own)["text"])
    assert card["link"] == "" and card["domain"]["name"] == "own" and len(card["result"]["recommendations"]) == 4


# -- reports ----------------------------------------------------------------------------------------------------------

def test_the_report_of_an_edited_state(services):
    state = run(services)
    edits = Edits.of(state.rationale).strike("3.1").rewrite("2.1", "Farming")
    file = clicked(services, state, "json", edits)
    card = json.loads(file["text"])
    assert file["name"].endswith(".json") and file["mime"] == "application/json"
    marks = {row["key"]: row["marks"] for row in card["steering"]["segments"]}
    assert marks["3.1"] == ["struck"] and marks["2.1"] == ["rewritten"] and marks["1.1"] == []
    assert len(card["steering"]["recommendations"]) == 4 == card["k"]
    assert 0 <= card["faithfulness"]["PN"] <= 1 and len(card["faithfulness"]["items"]) == 4
    assert all(len(digest) == 12 for digest in card["versions"]["digests"].values()) and card["seed"] is None
    assert card["link"].startswith("http://here/?s=1.")
    assert restored(services, {"s": card["link"].split("?s=")[1]}).edits.now == edits.now
    page = clicked(services, state, "html", edits)
    assert page["text"].startswith("<!DOCTYPE html>") and "Farming" in page["text"] and page["name"].endswith(".html")

    assert own_edits(run(services, "tiny"), edits) is not None, "the same text"
    other = replace(state, rationale=replace(state.rationale, step3=("Another",)))
    assert own_edits(other, edits) is None
    assert card_of(services, other, services.domain("other"), edits=edits)["steering"] is None
    everything = edits
    for part in edits.now:
        everything = everything.strike(part.key)
    with pytest.raises(SlimError, match="Everything is struck out"):
        clicked(services, state, "html", everything)
    with pytest.raises(SlimError, match="no finished run"):
        clicked(services, None, "html")
    with pytest.raises(SlimError, match="html or json"):
        clicked(services, state, "../../etc")


def desk_of(services: Services, state, blind: bool = False) -> Desk:
    domain = services.domain(state.domain)
    sides = tuple(
        SideState(key, writer, "live", replace(Student.info, name=f"Model {key}"), "finished", state.rationale.text,
                  state.rationale, RunStats(tokens=5, seconds=2.0))
        for key, writer in (("A", "student"), ("B", "base"))
    )  # fmt: skip
    ranker = RANKERS["reasoning"]
    compared = summarise(sides, state.history, domain, services.encoder, ranker, "", 4)
    whole = CompareState("id", sides, "done", compared, blind=blind, seed=7)
    return Desk(None, state.history, domain, None, "reasoning", whole)


def test_a_comparison_of_the_same_purchases_is_in_the_report(services):
    state, desks = run(services), Desks()
    desks.put("me", desk_of(services, state))
    card = json.loads(clicked(services, state, "json", desks=desks)["text"])
    assert [side["model"]["name"] for side in card["comparison"]["sides"]] == ["Model A", "Model B"]
    other = replace(state, history=state.history[:1])
    assert json.loads(clicked(services, other, "json", desks=desks)["text"])["comparison"] is None
    assert json.loads(clicked(services, state, "json")["text"])["comparison"] is None, "nobody else's"


def test_the_report_of_a_comparison_keeps_a_blind_one_blind(services):
    desk = desk_of(services, run(services), blind=True)
    text = of_comparison(services, desk, "http://here/", "json")["text"]
    card = json.loads(text)
    assert card["result"]["recommendations"] and card["comparison"]["comparison"]["pairs"]
    assert "Model A" not in text and "Student" not in text and card["versions"]["digests"]["model"] == ""
    link = decode(card["link"].split("?s=")[1])
    assert link.writer == "" and link.digests.model == "" and card["comparison"]["seed"] is None
    desk.voted = True
    assert "Model A" in of_comparison(services, desk, "", "html")["text"]
    for nothing in (None, Desk(None, desk.history, desk.domain, None, "reasoning")):
        with pytest.raises(SlimError, match="no finished run"):
            of_comparison(services, nothing, "", "html")


def test_no_key_in_any_of_it(services):
    services.teacher_url = f"https://{KEY}@host/v1"
    state = run(services)
    desks = Desks()
    desks.put("me", desk_of(services, state))
    for act in ("html", "json", "link"):
        assert KEY not in str(clicked(services, state, act, desks=desks))
    link = decode(clicked(services, state, "link")["link"])
    assert KEY not in repr(link) and KEY not in str(arrive(services, {"s": encode(link)}))


@pytest.mark.parametrize(("referer", "address"), [
    ("https://here.space/app/?s=1.x&theme=dark#y", "https://here.space/app/"), ("", ""), ("javascript:alert(1)", ""),
    ("http://" + "x" * 400, ""), ("file:///etc/passwd", ""),
])  # fmt: skip
def test_the_address_is_the_visitors(referer, address):
    assert address_of(SimpleNamespace(headers={"referer": referer})) == address
    assert address_of(None) == ""
