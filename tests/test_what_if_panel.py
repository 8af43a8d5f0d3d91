"""The what-if panel without a browser: whom it asks what, what its parts show then, how its jobs end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from dataclasses import replace

from conftest import TINY, FakeEncoder, make_domain

from slim_app.pipeline import explain
from slim_app.reasoners.recorded import from_shoppers
from slim_app.recommenders.rankers import choose_ranker
from slim_app.schema import ModelInfo, Shopper, State
from slim_app.services import Services
from slim_app.ui import words
from slim_app.ui import words_what_if as said
from slim_app.ui.what_if_handlers import JOBS, Update, WhatIfHandlers
from slim_app.ui.what_if_plan import Plan, Subject, plan_of
from tests.writers import GOOD, OTHER, STALL, Scripted

EVIL = '<img src=x onerror="alert(1)">{x}'
BOUGHT = (TINY[0], TINY[6], TINY[4])
SAMPLE = Shopper("s1", "Rita", ("G1", "G7", "G5"), "", "You like racing.", ("Racing Games",), ("Forza Horizon 5",))


class TwoMinds(Scripted):
    """Another text where the Minecraft of the Switch is not among the purchases."""

    def stream(self, history, stats):
        self.text = GOOD if TINY[4] in history else OTHER
        yield from super().stream(history, stats)


def make(**reasoners) -> WhatIfHandlers:
    encoder = FakeEncoder(dimension=16)
    domain = replace(make_domain(TINY, encoder), shoppers=(SAMPLE,))
    writers = reasoners or {"student": TwoMinds(name="Student of mine", tuned=True)}
    return WhatIfHandlers(Services({"tiny": domain}, encoder, writers, {"tiny": from_shoppers([SAMPLE])}))


def ran(handlers: WhatIfHandlers, writer: str = "student", ranker: str = "reasoning", k: int = 3) -> State:
    """A finished run, as the page hands it on."""
    services = handlers.services
    domain = services.domains["tiny"]
    chosen = choose_ranker(ranker, domain)
    reasoner = services.reasoner(writer, "tiny") if chosen.uses_rationale else None
    *_, state = explain(BOUGHT, domain, reasoner, chosen, services.encoder, k)
    return state


def opened(handlers: WhatIfHandlers, state: State) -> Plan:
    return handlers.open(Subject(state), None, "me")["plan"]


def page(updates: Iterable[Update]) -> Update:
    shown: Update = {}
    for update in updates:
        shown |= update
    return shown


# -- another result ---------------------------------------------------------------------------------------------------


def test_a_finished_run_opens_the_panel_with_a_copy_of_its_purchases():
    handlers = make()
    update = handlers.open(Subject(ran(handlers)), None, "me")
    assert update["box"]["visible"] and update["changed"] == list(BOUGHT) and update["label"] == said.RUN
    assert update["rows"].count("<li ") == 3 and said.UNCHANGED in update["rows"]
    assert update["running"] == dict.fromkeys(JOBS, False) and not update["refused"]
    assert update["plan"].writer == "student" and update["plan"].old.text == GOOD and not update["plan"].note
    for nothing in (None, Subject(State("failed"))):
        assert handlers.open(nothing, None, "me")["box"]["visible"] is False


def test_who_writes_is_told_apart_by_what_the_result_says():
    handlers = make(base=Scripted(name="Base"), student=Scripted(name="Student", tuned=True))
    live = ran(handlers, "base")
    assert plan_of(handlers.services, live, True).writer == "base"
    stopped = plan_of(handlers.services, replace(live, status="stopped"), True)
    assert (stopped.old, stopped.note) == (None, said.UNFINISHED)
    recorded = plan_of(handlers.services, ran(handlers, "recorded"), True)
    assert (recorded.writer, recorded.old) == ("student", None) and "recorded in advance" in recorded.note
    assert words.WRITERS["student"] in recorded.note and recorded.label == said.RUN_BOTH
    given = replace(live, model=ModelInfo("somebody", kind="link"))
    assert plan_of(handlers.services, given, True).note == said.OTHER_TEXT.format(writer="Student")
    alone = plan_of(handlers.services, ran(handlers, ranker="history"), False)
    assert (alone.writer, alone.note, alone.label) == ("", said.NO_TEXT, said.RUN_HISTORY) and not alone.refused


def test_without_a_live_writer_only_faithfulness_can_be_asked():
    handlers = make(student=Scripted())
    state = ran(handlers, "recorded")
    handlers.services.reasoners.clear()
    handlers.services.missing = "No student was started."
    update = handlers.open(Subject(state), None, "me")
    assert update["refused"] and "No student was started." in update["note"]
    plan = update["plan"]
    assert handlers.begin("texts", plan) == {}
    assert "none runs here" in page(handlers.explain_again(plan, [TINY[0]], None, False, False, "me"))["message"]
    assert "none runs here" in page(handlers.study("order", plan, None, "me"))["order"]
    assert "<dl" in handlers.faith(plan, None)["faith"]


# -- other purchases --------------------------------------------------------------------------------------------------


def test_the_copy_is_edited_and_says_what_is_changed():
    handlers = make()
    plan = opened(handlers, ran(handlers))
    less = handlers.edit(list(BOUGHT), plan, {"act": "remove", "row": "0"})
    assert less["changed"] == [TINY[6], TINY[4]]
    assert f"without “<bdi>{TINY[0].title}</bdi>”" in less["rows"] and said.REORDERED not in less["rows"]
    moved = handlers.edit(less["changed"], plan, {"act": "up", "row": "1"})
    assert moved["changed"] == [TINY[4], TINY[6]] and said.REORDERED in moved["rows"]
    more = handlers.submit(moved["changed"], plan, None, "stardew")
    assert more["changed"][-1] == TINY[3] and f"with “<bdi>{TINY[3].title}</bdi>”" in more["rows"]
    assert more["search"] == "" and said.ADDED_TAG in more["rows"]
    own = handlers.add(more["changed"], plan, None, EVIL, {"act": "own"})
    assert own["changed"][-1].id == "" and "<img" not in own["rows"] and "{x}" not in own["rows"]
    back = handlers.edit(own["changed"], plan, {"act": "reset"})
    assert back["changed"] == list(BOUGHT) and said.UNCHANGED in back["rows"]
    assert said.NOTHING_LEFT in handlers.edit([TINY[0]], plan, {"act": "remove", "row": 0})["rows"]
    assert handlers.edit(list(BOUGHT), plan, {"act": "remove", "row": "9"}) == {}
    assert "Stardew" in handlers.search(plan, None, "stardew") and handlers.search(None, None, "x") == ""


# -- explaining again -------------------------------------------------------------------------------------------------


def test_the_new_text_streams_beside_the_old_one_and_the_ranks_follow():
    handlers = make()
    plan = opened(handlers, ran(handlers))
    changed = list(BOUGHT[:2])
    assert handlers.begin("texts", plan)["running"] == {"texts": True}
    updates = list(handlers.explain_again(plan, changed, None, False, False, "me"))
    assert len(updates) > 2 and updates[-1]["running"] == {"texts": False}
    shown = page(updates)
    before, after = shown["texts"].index("You like racing."), shown["texts"].index("You like calm games.")
    assert before < after and 'aria-busy="false"' in shown["texts"] and "Student of mine" in shown["texts"]
    assert all(f'class="step card s{step}"' in shown["texts"] for step in (1, 2, 3))
    chart = json.loads(shown["chart"]["value"].to_json())
    ranks = {line.title for line in shown["moment"].bump.lines}
    assert len(chart["data"]) == len(ranks) and all(title in shown["table"] for title in ranks)
    assert TINY[4].title in shown["table"] or TINY[4].title not in ranks
    words_ = handlers.show_diff(shown["moment"], plan, True)["texts"]
    assert "<del>" in words_ and "<ins>" in words_ and said.DIFF_HINT in words_
    assert not handlers.signs._signs and not handlers.views._signs, "no sign is left behind"


def test_a_recorded_text_is_written_again_first():
    handlers = make()
    plan = opened(handlers, ran(handlers, "recorded"))
    updates = list(handlers.explain_again(plan, list(BOUGHT[:2]), None, False, False, "me"))
    assert any(said.WAITS in update.get("texts", "") for update in updates)
    moment = page(updates)["moment"]
    assert (moment.old.text, moment.state.rationale.text) == (GOOD, OTHER)


def test_lists_without_texts_are_compared_alone():
    handlers = make()
    plan = opened(handlers, ran(handlers, ranker="history"))
    shown = page(handlers.explain_again(plan, list(BOUGHT[:2]), None, False, False, "me"))
    assert shown["texts"] == "" and said.RANKS in shown["outcome"] and shown["chart"]["visible"]


def test_what_cannot_be_explained_is_said_and_the_button_comes_back(caplog):
    handlers = make()
    plan = opened(handlers, ran(handlers))
    for changed, message in ((list(BOUGHT), "has not changed"), ([], "history is empty")):
        shown = page(handlers.explain_again(plan, changed, None, False, False, "me"))
        assert message in shown["message"] and shown["running"] == {"texts": False}
    handlers.services.reasoners["student"].stream = lambda *_: 1 / 0
    shown = page(handlers.explain_again(plan, [TINY[0]], None, False, False, "me"))
    assert words.FAULT in shown["message"] and "ZeroDivisionError" in caplog.text


def test_a_job_is_stopped_and_nothing_is_drawn_over_another_result():
    handlers = make(student=Scripted(name="S", tuned=True))
    plan = opened(handlers, ran(handlers))
    writer = handlers.services.reasoners["student"]
    writer.end = STALL
    run = handlers.explain_again(plan, [TINY[0]], None, False, False, "me")
    next(run), next(run)
    handlers.signs.stop("you")
    next(run)
    handlers.signs.stop("me")
    shown = page(run)
    assert said.STOPPED in shown["texts"] and shown["running"] == {"texts": False}
    run = handlers.study("purchases", plan, None, "me")
    next(run), next(run)
    handlers.open(Subject(ran(make())), None, "me")
    assert list(run) == [] and len(writer.closed) == len(writer.started), "the writer is closed, too"


# -- three questions --------------------------------------------------------------------------------------------------


def test_leave_one_out_streams_rows_strongest_first():
    handlers = make()
    plan = opened(handlers, ran(handlers))
    updates = list(handlers.study("purchases", plan, None, "me"))
    assert "0 of 3 texts written" in updates[0]["purchases"]
    assert f"Now without <bdi>{BOUGHT[0].title}</bdi>" in updates[0]["purchases"]
    final = page(updates)
    assert final["running"] == {"purchases": False} and final["purchases"].count('class="name"') == 3
    first = final["purchases"].split('class="name"')[1]
    assert TINY[4].title in first and "You like calm games." in first, "only without it another text is written"
    assert "On average" in final["purchases"] and "<details>" in final["purchases"]


def test_a_stopped_study_keeps_what_is_known():
    handlers = make()
    plan = opened(handlers, ran(handlers))
    seen = []
    for update in handlers.study("purchases", plan, None, "me"):
        seen.append(update)
        if "1 of 3 texts" in update.get("purchases", ""):
            handlers.signs.stop("me")
    final = page(seen)
    assert said.STUDY_STOPPED.format(done=1, total=3) in final["purchases"]
    assert final["purchases"].count('class="name"') == 1 and final["running"] == {"purchases": False}


def test_a_new_job_of_a_visitor_stops_the_last_one():
    handlers = make()
    plan = opened(handlers, ran(handlers))
    first = handlers.study("purchases", plan, None, "me")
    next(first), next(first)
    second = list(handlers.study("order", plan, None, "me"))
    rest = page(first)
    assert "Stopped" in rest["purchases"] and rest["running"] == {"purchases": False}
    assert said.ORDER.format(number=1) in page(second)["order"] and said.THE_ORDER in page(second)["order"]


def test_too_few_purchases_are_said_where_the_button_is():
    handlers = make()
    plan = opened(handlers, replace(ran(handlers), history=BOUGHT[:1]))
    assert "at least two purchases" in page(handlers.study("purchases", plan, None, "me"))["purchases"]
    assert "no other order" in page(handlers.study("order", plan, None, "me"))["order"]


def test_faithfulness_is_computed_for_the_list_of_the_page():
    handlers = make()
    shown = handlers.faith(opened(handlers, ran(handlers)), None)["faith"]
    assert shown.count('<th scope="row">') == 3 and "of 3 products leave the first 3" in shown


def test_leaving_stops_what_runs_for_a_visitor():
    handlers = make()
    sign, view = handlers.signs.begin("me"), handlers.views.begin("me/texts")
    handlers.leave("you")
    assert not sign.is_set() and not view.is_set()
    handlers.leave("me")
    assert sign.is_set() and view.is_set() and isinstance(sign, threading.Event)
