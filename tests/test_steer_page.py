"""Steering on the explain tab without a browser: what an edit draws, what the page's states hold."""

from __future__ import annotations

import re
from dataclasses import replace

import gradio as gr
import pytest
from conftest import FakeEncoder, make_domain
from random_rankers import a_fused_run, the_domain, the_fake, the_services  # noqa: F401 (fixtures)

from slim_app.export import to_json
from slim_app.pipeline import explain, rank_rationale
from slim_app.ranks import Shift
from slim_app.rationale import parse
from slim_app.rationale_edits import Edits
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, ModelInfo, State
from slim_app.services import Services
from slim_app.ui import explain_page, render_rationale, render_steer, words
from slim_app.ui import words_steer as said
from slim_app.ui.handlers import Handlers
from slim_app.ui.lens import LensPanel
from slim_app.ui.signs import StopSigns
from slim_app.ui.steer_events import SteerPanel
from slim_app.ui.steering_desk import Desk, SteeringDesk, edited

EVIL = '<img src=x onerror="alert(1)">{{x}}${y}`</li>'
VECTORS = {"A": (1, 0, 0), "B": (0, 1, 0), "C": (0.6, 0.8, 0), "D": (0, 0, 1),
           "x": (1, 0, 0), "y": (0, 1, 0), "xy": (0.8, 0.6, 0), "z": (0, 0, 1)}  # fmt: skip
WRITTEN = "Step 1: x\nStep 2:\n1. y\nStep 3:\n1. xy"
"""Cosines with A, B, C, D: x 1 0 .6 0 · y 0 1 .8 0 · xy .8 .6 .96 0, so the list is A, B, C, D."""


@pytest.fixture
def hand() -> FakeEncoder:
    return FakeEncoder(VECTORS)


@pytest.fixture
def app(hand) -> SteeringDesk:
    found = Services({"tiny": make_domain([Item(name, name) for name in "ABCD"], hand)}, hand)
    return SteeringDesk(found, Handlers(found, StopSigns()))


def run(app: SteeringDesk, k: int = 3, text: str = WRITTEN) -> State:
    """A finished run of a language model that wrote this text."""
    place = app.services.domains["tiny"]
    state = rank_rationale(text, [], place, RANKERS["reasoning"], app.services.encoder, k)
    return replace(state, model=ModelInfo("SLIM student", tuned=True))


def act(app: SteeringDesk, state: State, edits: Edits, act: str, **more: str) -> list[dict]:
    return list(app.act(Desk(state, edits), None, {"act": act, **more}))


def rows(html: str) -> list[tuple[str, str]]:
    """(id, sign of its move) of each row of a list."""
    found = re.findall(r'data-id="(\w+)">.*?class="delta([^"]*)"', html)
    return [(name, kind.strip()) for name, kind in found]


def test_a_run_can_be_edited_and_a_new_one_forgets_the_edits(app):
    state = run(app)
    began = app.begin(state)
    assert began["written"] is state and began["edits"] == Edits.of(state.rationale) and began["steered"] is None
    html = began["reasoning"]
    for key, text in (("1.1", "x"), ("2.1", "y"), ("3.1", "xy")):
        assert f'aria-label="{said.STRIKE}: {text}"' in html and f'data-seg="{key}" data-text="{text}"' in html
    assert html.count('data-act="add"') == 3 and said.HINT in html and said.COUNT[0] in html
    assert html.count(" disabled>") == 3  # nothing to undo, redo or reset
    assert app.begin(None) == {"edits": None, "written": None, "steered": None}


def test_what_was_stopped_can_be_edited_and_what_has_no_text_can_not(app):
    stopped = replace(run(app, text="Step 1: x"), status="stopped")
    assert app.begin(stopped)["edits"].now[0].text == "x"
    assert words.STOPPED in app.begin(stopped)["reasoning"]
    assert app.begin(replace(stopped, rationale=type(stopped.rationale)()))["edits"] is None


def test_a_ranker_that_reads_no_reasoning_says_why_nothing_can_be_edited(app):
    place = app.services.domains["tiny"]
    *_, state = explain([Item("", "x")], place, None, RANKERS["history"], app.services.encoder, 3)
    assert app.begin(state) == {"edits": None, "written": None, "steered": None}
    html = render_rationale.reasoning(state)
    assert said.NOT_READ in html and "data-act" not in html


def test_striking_out_moves_the_list_at_once_and_explains_it_then(app):
    state = run(app)
    first, last, lens = act(app, state, Edits.of(state.rationale), "strike", key="2.1")
    assert rows(first["ranking"]) == rows(last["ranking"]) == [("A", ""), ("C", "moved up"), ("B", "moved down")]
    assert 'class="why pending"' in first["ranking"] and words.PUT_HERE_BY not in first["ranking"]
    assert 'class="why pending"' not in last["ranking"] and last["ranking"].count(words.PUT_HERE_BY) == 3
    assert said.COUNTING in first["reasoning"] and said.COUNTING not in last["reasoning"]
    assert '<i aria-hidden="true">▲ 1</i>' in last["ranking"] and said.UP.format(count=1, before=3) in last["ranking"]
    assert said.DOWN.format(count=1, before=2) in last["ranking"] and said.SAME in last["ranking"]
    html = last["reasoning"]
    assert "<s><bdi>y</bdi></s>" in html and f"({said.STRUCK})" in html and "1 edit<" in html
    assert f'data-act="restore" data-key="2.1" aria-label="{said.RESTORE}: y"' in html
    assert re.search(r"Ranked again in [\d,]+ ms, without the language model: 0 new, 2 moved\.", html)
    # the struck one tells what it would do: lift B from 3 to 2
    assert said.WOULD in html and said.LIFTS in html and "3 → 2" in html
    shown = last["result"]
    assert [r.id for r in shown.recommendations] == ["A", "C", "B"] and lens["lens"] == shown
    assert shown.rationale.step2 == () and "Edited by hand: 1 edit." in to_json(shown)


def test_what_enters_and_what_leaves_is_named(app):
    state = run(app, k=2)
    *_, last, _ = act(app, state, Edits.of(state.rationale), "strike", key="2.1")
    assert rows(last["ranking"]) == [("A", ""), ("C", "moved new")]
    assert f'{said.NEW}<span class="for-ears">, was rank 3' in last["ranking"]
    assert said.LEFT.format(k=2) in last["ranking"] and "<bdi>B</bdi>" in last["ranking"]
    assert said.LEFT_ROW.format(before=2, after=3) in last["ranking"]
    assert "1 new, 0 moved" in last["reasoning"]


@pytest.mark.parametrize(("shift", "words_"), [
    (Shift("A", "A", 12, 3), ("▲ 9", "9 up, was rank 12")),
    (Shift("A", "A", 3, 8), ("▼ 5", "5 down, was rank 3")),
    (Shift("A", "A", 1204, 2), ("new", "was rank 1,204")),
    (Shift("A", "A", 4, 4), ("=", "same rank")),
])  # fmt: skip
def test_moves_in_sign_and_words(shift, words_):
    html = render_steer.delta(shift, 20, floors=False)
    assert all(word in html for word in words_)
    assert ("moved" in html) is (shift.delta != 0)
    floor = render_steer.delta(replace(shift, before=900), 20, floors=True)
    assert "was rank 900 or lower" in floor


def test_undo_redo_and_reset(app):
    state = run(app)
    edits = Edits.of(state.rationale)
    for action in ({"act": "strike", "key": "2.1"}, {"act": "weigh", "key": "1.1", "weight": "2"},
                   {"act": "add", "step": "3", "text": "z"}):  # fmt: skip
        *_, last, _ = app.act(Desk(state, edits), None, action)
        edits = last["edits"]
    assert "3 edits" in last["reasoning"] and said.WEIGHTS[2.0] in last["reasoning"]
    assert f'<span class="edit-mark">{said.MARKS["added"]}</span>' in last["reasoning"]
    assert "D" in [r.id for r in last["result"].recommendations] and 'data-seg="+1"' in last["ranking"]
    # in the page's one whole state, evidence goes by the keys of its own text
    keys = {s.key: s.text for s in last["result"].rationale.segments()}
    assert all(keys[r.evidence.key] == r.evidence.text for r in last["result"].recommendations)

    *_, undone, _ = act(app, state, edits, "undo")
    assert "2 edits" in undone["reasoning"] and 'data-seg="+1"' not in undone["reasoning"]
    *_, redone, _ = act(app, state, undone["edits"], "redo")
    assert redone["edits"].now == edits.now and redone["result"] == last["result"]
    *_, reset, _ = act(app, state, edits, "reset")
    assert reset["result"] == state and "delta" not in reset["ranking"]
    assert reset["ranking"] == app.handlers.finished(state)
    assert said.COUNT[0] in reset["reasoning"] and "the list as it was written" in reset["reasoning"]
    *_, back, _ = act(app, state, reset["edits"], "undo")
    assert back["edits"].now == edits.now
    assert act(app, state, Edits.of(state.rationale), "undo") == [] == act(app, state, edits, "dance")


def test_when_everything_is_struck_out_the_edits_stay_and_the_page_says_why(app):
    state = run(app)
    edits = Edits.of(state.rationale).strike("1.1").strike("2.1")
    (only,) = act(app, state, edits, "strike", key="3.1")
    assert "nothing is left to rank by" in only["ranking"]
    assert 'role="alert">Everything is struck out' in only["reasoning"]
    assert only["edits"].now[2].weight == 0 and only["result"].recommendations == ()
    *_, back, _ = act(app, state, only["edits"], "undo")
    assert [r.id for r in back["result"].recommendations] == ["C", "A", "B"]


def test_a_page_that_lost_an_answer_gets_the_whole_of_it_once_more(app):
    edits = Edits.of(run(app).rationale).strike("3.1")
    last, again = {}, {}
    for part in act(app, run(app), Edits.of(run(app).rationale), "strike", key="3.1"):
        last |= part
    for part in act(app, run(app), edits, "show"):
        again |= part
    assert again.keys() == last.keys() >= {"reasoning", "ranking", "result", "edits", "steered", "lens"}
    assert again["edits"] == edits and again["ranking"] == last["ranking"]


@pytest.mark.parametrize(("action", "message"), [
    ({"act": "strike", "key": "9.9"}, "There is no segment “9.9”"),
    ({"act": "rewrite", "key": "1.1", "text": " \u200b "}, "A segment needs words"),
    ({"act": "rewrite", "key": "1.1"}, "A segment needs words"),
    ({"act": "weigh", "key": "1.1", "weight": "NaN"}, "A weight is a number"),
    ({"act": "weigh", "key": "1.1", "weight": {"a": 1}}, "A weight is a number"),
    ({"act": "add", "step": "4", "text": "z"}, "A segment belongs to step"),
    ({"act": "add", "text": "z"}, "A segment belongs to step"),
])  # fmt: skip
def test_what_cannot_be_done_is_said_below_the_cards(app, action, message):
    state = run(app)
    (update,) = app.act(Desk(state, Edits.of(state.rationale)), None, action)
    assert update.keys() == {"reasoning"} and f'role="alert">{message}' in update["reasoning"]


def test_hostile_words_stay_words(app):
    state = run(app)
    edits = Edits.of(state.rationale)
    for action in ({"act": "rewrite", "key": "1.1", "text": EVIL}, {"act": "add", "step": "2", "text": EVIL},
                   {"act": "strike", "key": "2.1"}):  # fmt: skip
        *_, last, _ = app.act(Desk(state, edits), None, action)
        edits = last["edits"]
    html = last["reasoning"] + last["ranking"]
    assert "<img" not in html and "{{x}}" not in html and "${y}" not in html and "`" not in html
    assert html.count("&lt;img") > 4  # in the text, the labels, and as evidence
    # titles are no less a stranger's
    evil = [Item("E", EVIL), *(Item(name, name) for name in "AB")]
    found = Services({"tiny": make_domain(evil, FakeEncoder(VECTORS | {EVIL: (0.7, 0.7, 0)}))}, FakeEncoder(VECTORS))
    desk = SteeringDesk(found, Handlers(found, StopSigns()))
    state = run(desk, k=2)
    *_, last, _ = act(desk, state, Edits.of(state.rationale), "strike", key="3.1")
    assert "<img" not in last["ranking"] + last["reasoning"]


def test_hand_written_segments_are_looked_up_like_any_other(app):
    state = run(app)
    *_, last, _ = act(app, state, Edits.of(state.rationale).strike("1.1"), "rewrite", key="3.1", text="A")
    mention = next(m for m in last["result"].grounding if m.text == "A")
    assert (mention.key, mention.status) == ("3.1", "catalogue")
    row = re.search(r'<li class="seg"[^>]*data-seg="3\.1".*?</li>', last["reasoning"])[0]
    assert words.MARKS["catalogue"][1] in row and f'title="{said.WAS.format(text="xy")}"' in row


def test_a_fused_list_keeps_its_weight_while_it_is_edited(one_thread, services, finished):
    desk = SteeringDesk(services, Handlers(services, StopSigns()))
    edits = Edits.of(finished.rationale)
    by_hand = desk.handlers.reweigh(finished, 0.9)["result"]
    *_, unedited, _ = desk.follow(Desk(finished, edits, weight=0.9))
    assert unedited["result"] == by_hand
    key = next(iter(edits.now)).key
    *_, struck, _ = desk.follow(Desk(finished, edits.strike(key), weight=0.9))
    assert "Weighed by hand: reasoning 90 %" in struck["ranking"]
    assert any(r.rank_reasoning for r in struck["result"].recommendations)
    *_, learned, _ = desk.follow(Desk(finished, edits))
    assert learned["result"] == finished
    *_, half, _ = desk.follow(Desk(finished, edits.weigh(key, 0.5)))
    assert said.WEIGHTS_IN_LENS in half["reasoning"]


def test_a_restored_page_and_a_moved_slider_end_with_the_whole_list(one_thread, services, finished):
    edits = Edits.of(finished.rationale).strike("3.1")
    with gr.Blocks():
        c = {"ranking": explain_page.panel("", "ranking"), "result": gr.State(None), "own": gr.State(None)}
        panel = SteerPanel(services, Handlers(services, StopSigns()), explain_page.panel, c)
        c["lens"] = LensPanel(services, explain_page.panel, "")
    out = panel.restored(finished, edits)
    assert out[c["edits"]].now == edits.now and out[c["written"]] is finished and out[c["steered"]].done
    assert out[c["result"]].rationale == edits.rationale() and words.PUT_HERE_BY in out[c["ranking"]]
    assert said.COUNT[1] in out[c["reasoning"]] and "delta" in out[c["ranking"]] and c["lens"].table in out
    plain = panel.restored(finished, None)
    assert plain[c["edits"]] == Edits.of(finished.rationale) and c["ranking"] not in plain  # the run's own list stands
    assert plain[c["steered"]].influences
    moved = panel.weighed(finished, finished, edits, 0.9)
    assert "Weighed by hand" in moved[c["ranking"]] and said.COUNT[1] in moved[c["reasoning"]]
    assert c["lens"].slider not in moved
    assert panel.begin({"result": None})[c["edits"]] is None and panel.begin({"message": ""}) == {}


def test_actions_of_the_page():
    edits = Edits.of(parse(WRITTEN))
    assert edited(edits, {"act": "weigh", "key": "1.1", "weight": "0.5"}).now[0].weight == 0.5
    assert edited(edits.strike("1.1"), {"act": "restore", "key": "1.1"}).now == edits.now
    assert edited(edits, {}) is edits and edited(edits, {"act": "undo"}) is edits
