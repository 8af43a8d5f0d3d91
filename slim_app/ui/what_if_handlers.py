"""What the what-if panel does. No layout; handlers return {component name: value}."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Event
from typing import Any

import gradio as gr

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.faithfulness import faithfulness
from slim_app.history_studies import leave_one_out, order_shuffle
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.binding import can_bind
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import choose_ranker
from slim_app.schema import Item
from slim_app.services import Services
from slim_app.ui import render, render_bump, render_studies, render_what_if, words
from slim_app.ui.editing import HistoryEditor
from slim_app.ui.signs import StopSigns
from slim_app.ui.what_if_plan import Plan, Subject, plan_of
from slim_app.what_if import WhatIf, what_if

log = logging.getLogger(__name__)
Update = dict[str, Any]
STUDIES = {"purchases": leave_one_out, "order": order_shuffle}
JOBS = ("texts", *STUDIES)
ORDERS = 5
"""Other orders that are tried."""


class WhatIfHandlers:
    """Bound to one running app; what it asks about lives in the visitor's page."""

    def __init__(self, services: Services) -> None:
        self.services, self.editor = services, HistoryEditor(services)
        self.signs = StopSigns()
        """One running job a visitor: a new one stops the last."""
        self.views = StopSigns()
        """One for each job of each visitor: set when another result is on the page, so that nothing is drawn late."""

    # -- another result, other purchases ------------------------------------------------------------------------------

    def open(self, subject: Subject | None, own: Domain | None, session: str | None) -> Update:
        """Another result stands above, or none: the panel begins anew."""
        self.leave(session)
        if subject is None or not subject.state.recommendations:
            return {"box": gr.update(visible=False), "plan": None, "moment": None}
        state = subject.state
        try:
            ranker = choose_ranker(state.ranker, self.services.domain(state.domain, own))
            plan = plan_of(self.services, state, ranker.uses_rationale)
        except SlimError:
            log.exception("a result that cannot be asked about")
            return {"box": gr.update(visible=False), "plan": None, "moment": None}
        return {
            "box": gr.update(visible=True), "plan": plan, "moment": None,
            "note": render_what_if.intro(plan.note), "message": "", **self._copy(list(plan.history), plan),
            "search": "", "hits": "", "texts": render_what_if.texts(None, writes=plan.writes), "outcome": "",
            "table": "", "chart": gr.update(value=None, visible=False), "diff": gr.update(visible=False),
            "purchases": render_studies.study("purchases", None), "order": render_studies.study("order", None),
            "faith": render_studies.faith(None), "running": dict.fromkeys(JOBS, False), "refused": plan.refused,
            "label": plan.label,
        }  # fmt: skip

    def leave(self, session: str | None) -> None:
        """The visitor, or the result, is gone: whatever runs for it stops."""
        for job in JOBS:
            self.views.stop(f"{session}/{job}")
        self.signs.stop(session)

    def edit(self, changed: list[Item], plan: Plan | None, action: dict[str, Any]) -> Update:
        """What a button or a drag on the changed purchases asks for."""
        if plan is None:
            return {}
        if action.get("act") == "reset":
            return self._copy(list(plan.history), plan)
        return self._edited(self.editor.edit(changed, plan.state.domain, None, action), plan)

    def add(
        self, changed: list[Item], plan: Plan | None, own: Domain | None, typed: str, action: dict[str, Any]
    ) -> Update:
        """A hit of the search, or the typed words, becomes the newest purchase."""
        if plan is None:
            return {}
        return self._edited(self.editor.add(changed, plan.state.domain, own, None, typed, action), plan)

    def submit(self, changed: list[Item], plan: Plan | None, own: Domain | None, typed: str) -> Update:
        """Enter in the search box."""
        if plan is None:
            return {}
        return self._edited(self.editor.submit_search(changed, plan.state.domain, own, None, typed), plan)

    def search(self, plan: Plan | None, own: Domain | None, typed: str) -> str:
        return self.editor.search(plan.state.domain, own, typed) if plan else ""

    def _edited(self, update: Update, plan: Plan) -> Update:
        """An update of the editor, for this panel's parts."""
        kept = {name: update[name] for name in ("message", "search", "hits") if name in update}
        return kept | (self._copy(update["history"], plan) if "history" in update else {})

    def _copy(self, items: list[Item], plan: Plan) -> Update:
        return {"changed": items, "rows": render_what_if.purchases(items, plan.history)}

    def begin(self, job: str, plan: Plan | None) -> Update:
        """A click is answered at once, even while all places are taken."""
        if plan is None or plan.refused:
            return {}
        return {"message" if job == "texts" else job: render_what_if.waiting(), "running": {job: True}}

    # -- explaining again ---------------------------------------------------------------------------------------------

    def explain_again(
        self, plan: Plan | None, changed: list[Item], own: Domain | None, diff: bool, narrow: bool, session: str | None
    ) -> Iterator[Update]:
        """Stream the new text beside the old one, then the ranks of both lists. `narrow`: for the page of a phone."""
        if plan is None:
            return
        moment: WhatIf | None = None
        with self._job("texts", session) as (sign, view):
            try:
                parts = self._parts(plan, own)
                yield {"message": "", "outcome": "", "table": "", "chart": gr.update(value=None, visible=False),
                       "moment": None, "diff": gr.update(visible=False), "running": {"texts": True}}  # fmt: skip
                run = what_if((plan.history, plan.old), changed, *parts, self.services.encoder, plan.k, sign)
                with closing(run) as moments:
                    for moment in moments:
                        if view.is_set():
                            return
                        yield {"texts": render_what_if.texts(moment, plan.history)}
                yield self._finished(moment, plan, diff, narrow)
            except SlimError as error:
                if not view.is_set():
                    yield {"message": render.error(error), "running": {"texts": False}}
            except Exception:
                log.exception("what if")
                if not view.is_set():
                    yield {"message": render.error(words.FAULT), "running": {"texts": False}}

    def _finished(self, moment: WhatIf | None, plan: Plan, diff: bool, narrow: bool) -> Update:
        assert moment is not None
        update: Update = {"texts": render_what_if.texts(moment, plan.history, diff), "moment": moment,
                          "diff": gr.update(visible=plan.writes), "running": {"texts": False}}  # fmt: skip
        if moment.bump is not None:
            update["outcome"] = render_what_if.outcome(moment.bump, render_bump.MOST)
            update["table"] = render_what_if.table(moment.bump)
            update["chart"] = gr.update(value=render_bump.chart(moment.bump, narrow), visible=True)
        return update

    def show_diff(self, moment: WhatIf | None, plan: Plan | None, diff: bool) -> Update:
        """Word by word or plain, from now on."""
        return {"texts": render_what_if.texts(moment, plan.history, diff)} if moment and plan else {}

    # -- three questions ----------------------------------------------------------------------------------------------

    def study(self, kind: str, plan: Plan | None, own: Domain | None, session: str | None) -> Iterator[Update]:
        """Stream a study: `purchases` leaves each out in turn, `order` takes them in other orders."""
        if plan is None:
            return
        with self._job(kind, session) as (sign, view):
            try:
                parts = self._parts(plan, own)
                more = {"orders": ORDERS} if kind == "order" else {}
                run = STUDIES[kind](plan.history, plan.old, *parts, self.services.encoder, plan.k, stop=sign, **more)
                with closing(run) as states:
                    for state in states:
                        if view.is_set():
                            return
                        yield {kind: render_studies.study(kind, state, plan.writes)}
                yield {"running": {kind: False}}
            except SlimError as error:
                if not view.is_set():
                    yield {kind: render.error(error), "running": {kind: False}}
            except Exception:
                log.exception("a study of a history")
                if not view.is_set():
                    yield {kind: render.error(words.FAULT), "running": {kind: False}}

    def faith(self, plan: Plan | None, own: Domain | None) -> Update:
        """PN, PS and F of the list above; no language model."""
        if plan is None:
            return {}
        state, encoder = plan.state, self.services.encoder
        try:
            domain = self.services.domain(state.domain, own)
            ranker = choose_ranker(state.ranker, domain)
            # ranked again, since the lens may have moved the list away from what the ranker itself says
            listed = rank(state.history, state.rationale, domain, encoder, ranker, plan.k)
            found = faithfulness(listed, state.history, state.rationale, domain, ranker, encoder)
        except SlimError as error:
            return {"faith": render.error(error)}
        except Exception:
            log.exception("faithfulness")
            return {"faith": render.error(words.FAULT)}
        return {"faith": render_studies.faith(found, {r.evidence.key: r.evidence.text for r in listed if r.evidence})}

    # -- shared -------------------------------------------------------------------------------------------------------

    def _parts(self, plan: Plan, own: Domain | None) -> tuple[Domain, Reasoner | None, Any]:
        """Domain, writer and ranker of a result.

        Raises:
            SlimError: one of them is not there (any more), or nobody can write.
        """
        if plan.refused:
            raise SlimError(plan.note)
        state = plan.state
        domain = self.services.domain(state.domain, own)
        ranker = choose_ranker(state.ranker, domain)
        if not plan.writes:
            return domain, None, ranker
        writer = self.services.reasoner(plan.writer, domain.name)
        if state.model.bound and can_bind(writer):  # who stands in for a link's writer may not be
            writer = self.services.bindings.bind(writer, domain.catalog)
        return domain, writer, ranker

    @contextmanager
    def _job(self, job: str, session: str | None) -> Iterator[tuple[Event, Event]]:
        sign, view = self.signs.begin(session), self.views.begin(f"{session}/{job}")
        try:
            yield sign, view
        finally:
            self.signs.end(session, sign)
            self.views.end(f"{session}/{job}", view)
