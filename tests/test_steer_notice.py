"""What a steered result says about its text in downloads."""

from __future__ import annotations

from dataclasses import replace

import pytest
from conftest import FakeEncoder, make_domain

from slim_app.pipeline import rank_rationale
from slim_app.rationale_edits import Edits
from slim_app.recommenders.text_match import RANKERS
from slim_app.schema import Item, ModelInfo
from slim_app.services import Services
from slim_app.ui import words_steer as said
from slim_app.ui.handlers import Handlers
from slim_app.ui.signs import StopSigns
from slim_app.ui.steering_desk import Desk, SteeringDesk


@pytest.mark.parametrize(("action", "another"), [
    ({"act": "weigh", "key": "2.1", "weight": "2"}, False),
    ({"act": "strike", "key": "2.1"}, True),
    ({"act": "rewrite", "key": "2.1", "text": "Lamps"}, True),
    ({"act": "add", "step": "2", "text": "Lamps"}, True),
])  # fmt: skip
def test_the_model_wrote_another_text_only_where_the_words_are_others(action, another):
    encoder = FakeEncoder(dimension=8)
    place = make_domain([Item(name, name) for name in "ABCD"], encoder)
    services = Services({"tiny": place}, encoder)
    desk = SteeringDesk(services, Handlers(services, StopSigns()))
    state = rank_rationale("Step 1: You like it.\nStep 2:\n1. Bulbs", [], place, RANKERS["reasoning"], encoder, 3)
    state = replace(state, model=ModelInfo("Student"))
    *_, last, _ = desk.act(Desk(state, Edits.of(state.rationale)), None, action)
    note = last["result"].notices[-1]
    assert note.startswith("Edited by hand: 1 edit.") and (said.OTHER_TEXT in note) is another
