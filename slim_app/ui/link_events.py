"""The events of report cards and permalinks: what a click below a list does, and what a page's own address brings.

All are private: the API has its own typed endpoint.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr

from slim_app.compare_state import sample_of
from slim_app.errors import SlimError
from slim_app.services import Services
from slim_app.ui import render, render_rationale
from slim_app.ui.desks import Desks
from slim_app.ui.escape import esc
from slim_app.ui.handlers import Handlers
from slim_app.ui.report_links import DELIVER, FORGET, ReportBar, Shown, address_of, of_comparison, of_run
from slim_app.ui.restoring import Restored, restored

PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}


def wire(page: gr.Blocks, services: Services, c: dict[str, Any], handlers: Handlers, desks: Desks) -> None:
    """The explain tab's links, and the page's load. `c`: the parts of that tab, by name."""
    bar: ReportBar = c["report"]
    c["made"] = gr.State(None)

    def click(state, own, made, written, edits, steered, weight, request: gr.Request, event: gr.EventData):
        address, session = address_of(request), request.session_hash

        def make(act: str) -> dict[str, Any]:
            # what stands under edits, at the weight of the lens: its list is compared with the one under the edits
            run = written if weight is None else handlers.reweigh(written, weight).get("result", written)
            return of_run(services, desks, Shown(state, own, made, run, edits, steered), session, address, act)

        return bar.answer(str(event._data.get("act")), make)

    given = [c[name] for name in ("result", "own", "made", "written", "edits", "steered")] + [c["lens"].weight]
    deliver(bar, bar.links.click(click, given, [bar.note, bar.file], **PRIVATE))
    c["run"].click(None, None, None, js=FORGET, **PRIVATE)
    load(page, services, c, handlers)


def wire_comparison(services: Services, bar: ReportBar, desks: Desks) -> None:
    """The compare tab's links."""

    def click(request: gr.Request, event: gr.EventData):
        make = partial(of_comparison, services, desks.of(request.session_hash), address_of(request))
        return bar.answer(str(event._data.get("act")), make)

    deliver(bar, bar.links.click(click, None, [bar.note, bar.file], **PRIVATE))


def deliver(bar: ReportBar, event: Any) -> None:
    """What was made goes to the browser's downloads, or to its address bar and clipboard."""
    event.then(None, [bar.file], [bar.file], js=DELIVER, **PRIVATE)


def load(page: gr.Blocks, services: Services, c: dict[str, Any], handlers: Handlers) -> None:
    """A page whose address holds a state begins with it; every other one begins as it is."""
    names = "domain history history_view chips k writer result made reasoning ranking prompt message"
    parts = [c[name] for name in names.split()] + [c["bound"].box, c["what_if"].subject]
    parts += [*c["lens"].parts, *c["choices"].parts, *c["steer"].parts]

    def arrive(request: gr.Request):
        try:
            found = restored(services, request.query_params)
        except SlimError as error:
            return {c["message"]: render.error(error)}
        return shown(services, c, handlers, found) if found else gr.skip()

    page.load(arrive, None, list(dict.fromkeys(parts)), queue=False, **PRIVATE)


def shown(services: Services, c: dict[str, Any], handlers: Handlers, found: Restored) -> dict[Any, Any]:
    """Component → value of a restored page."""
    sample = sample_of(services.samples(found.domain), found.history)
    out = c["choices"].follow(found.domain, None, found.ranker) | {
        c["domain"]: found.domain,
        c["history"]: found.history,
        c["history_view"]: render.history(found.history),
        c["chips"]: render.chips(services.samples(found.domain), sample),
        c["k"]: min(found.k, c["k"].maximum),  # the API lists more than the page offers
        c["bound"].box: c["bound"].follow(found.writer or services.default_writer, found.bound),
        c["message"]: "".join(f'<p class="notice" role="status">{esc(line)}</p>' for line in found.notices),
    }
    if found.writer:
        out[c["writer"]] = found.writer
    if found.state is not None:
        out |= {
            c["result"]: found.state,
            c["made"]: found.made,
            c["reasoning"]: render_rationale.reasoning(found.state),
            c["ranking"]: handlers.finished(found.state),
            c["prompt"]: render_rationale.prompt(""),
        }
        out |= c["steer"].restored(found.state, found.edits)
        out |= c["lens"].show(out[c["result"]]) | c["what_if"].about(found.state)
    return out
