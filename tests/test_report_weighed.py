"""The report of a fused list that was weighed by hand and edited."""

from __future__ import annotations

import json
from types import SimpleNamespace

from random_rankers import a_fused_run, the_domain, the_fake, the_services  # noqa: F401

from slim_app.rationale_edits import Edits
from slim_app.ui.handlers import Handlers
from slim_app.ui.page import build_page
from slim_app.ui.signs import StopSigns
from slim_app.ui.steering_desk import Desk, SteeringDesk


def test_both_of_its_lists_stand_at_the_same_weight(one_thread, services, finished):
    edits = Edits.of(finished.rationale).strike("3.1").strike("1.1")
    desk = SteeringDesk(services, Handlers(services, StopSigns()))
    *_, last, _ = desk.follow(Desk(finished, edits, weight=0.9))
    events = build_page(services).fns.values()
    click = next(e for e in events if getattr(e.fn, "__qualname__", "") == "wire.<locals>.click"
                 and e.fn.__module__.endswith("link_events"))  # fmt: skip
    visitor, asked = SimpleNamespace(session_hash="me", headers={}), SimpleNamespace(_data={"act": "json"})
    answer = click.fn(last["result"], None, None, finished, edits, last["steered"], 0.9, visitor, asked)
    (made,) = [value for part, value in answer.items() if part.label == "report"]
    card = json.loads(json.loads(made)["text"])
    assert "Weighed by hand: reasoning 90 %" in card["result"]["ranker_notes"][-1]
    written = {r["id"]: r["rank"] for r in card["result"]["recommendations"]}
    assert written != {r.id: r.rank for r in finished.recommendations}, "the weight matters"
    steered = card["steering"]["recommendations"]
    assert {r["id"]: r["before"] for r in steered if r["before"] <= card["k"]}.items() <= written.items()
