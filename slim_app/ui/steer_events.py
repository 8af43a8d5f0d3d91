"""The cards under edit on the explain tab: their panel, their states, and their events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from slim_app.domain import Domain
from slim_app.rationale_edits import Edits
from slim_app.schema import State
from slim_app.services import Services
from slim_app.ui import render_rationale
from slim_app.ui.handlers import Handlers, Update
from slim_app.ui.lens import LensPanel
from slim_app.ui.steering_desk import Desk, SteeringDesk

SCRIPT = Path(__file__).with_name("steer.js")
IN_TURN: dict[str, Any] = {"concurrency_limit": 1, "concurrency_id": "steer"}
"""Of all events that change an edited list: one after the other, each begins with what the last left, none is lost."""
NAMES = ("reasoning", "ranking", "result", "edits", "written", "steered")


class SteerPanel:
    """Laid out where it is made. Holds nothing of any visitor: that lives in the page's states.

    `edits` (Edits) are edits of the rationale of `written` (State, the run as it ended), `steered` (Steered) is the
    list under them; each is None while there is nothing to edit. `result` carries what the page shows.
    """

    def __init__(self, services: Services, handlers: Handlers, panel: Any, c: dict[str, Any]) -> None:
        self.desk, self.c = SteeringDesk(services, handlers), c
        c["reasoning"] = panel(render_rationale.reasoning(None), "reasoning", SCRIPT.read_text("utf-8"))
        for name in ("edits", "written", "steered"):
            c[name] = gr.State(None)

    @property
    def states(self) -> list[Any]:
        return [self.c[name] for name in NAMES[3:]]

    @property
    def parts(self) -> list[Any]:
        """All that an edit changes, but for the lens."""
        return [self.c[name] for name in NAMES]

    def show(self, update: Update, weight: float | None = None) -> dict[Any, Any]:
        """Names → components; `weight`: where the fusion lens stands."""
        out = {self.c[name]: value for name, value in update.items() if name in NAMES}
        return out | self.c["lens"].show(update["lens"], weight) if "lens" in update else out

    def begin(self, update: Update) -> dict[Any, Any]:
        """What a handler's update means here: a finished run can be edited, a new one or none ends the edits."""
        if "result" in update or update.get("running"):
            return self.show(self.desk.begin(update.get("result")))
        return {}

    def opened(self, state: State | None, own: Domain | None) -> dict[Any, Any]:
        """With the last state of a run: what each segment does to its list.

        With it, not after it: Gradio sends the last value again when all has ended, and a chart that was hidden until
        then draws only that one.
        """
        began = self.desk.begin(state)
        if began["edits"] is None:
            return {}
        return self.show(self._at_last(Desk(state, began["edits"], own), opening=True))

    def restored(self, state: State, edits: Edits | None) -> dict[Any, Any]:
        """A page from a link: its run, and the list under its edits."""
        began = self.desk.begin(state)
        if began["edits"] is None:
            return self.show(began)
        opening = edits is None or not edits.edited
        return self.show(began | self._at_last(Desk(state, edits or began["edits"]), opening))

    def weighed(
        self, result: State | None, written: State | None, edits: Edits | None, weight: float | None
    ) -> dict[Any, Any]:
        """The fused list at another weight of its reasoning (None: the learned one), under the same edits."""
        if written is None or edits is None or written.ranker != "fused":
            return self.show(self.desk.handlers.reweigh(result, weight))
        update = self._at_last(Desk(written, edits, weight=weight))
        update.pop("lens", None)  # its slider is under the person's hand
        return self.show(update)

    def _at_last(self, desk: Desk, opening: bool = False) -> Update:
        """The last value of everything that follows."""
        out: Update = {}
        for update in self.desk.follow(desk, opening):
            out |= update
        return out

    def wire(self, lens: LensPanel, events: dict[str, Any]) -> None:
        """Every click on the cards. `events`: what all private events have in common."""
        c = self.c

        def click(written, edits, steered, own, weight, event: gr.EventData):
            if written is None or edits is None:
                yield gr.skip()
                return
            for update in self.desk.act(Desk(written, edits, own, weight), steered, event._data):
                yield self.show(update, weight)

        given = [c[name] for name in ("written", "edits", "steered", "own")] + [lens.weight]
        c["reasoning"].click(click, given, [*self.parts, *lens.parts], trigger_mode="multiple", **IN_TURN, **events)
