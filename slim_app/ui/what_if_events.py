"""The events of the what-if panel: what its parts send to the handlers. All private: the API has its own endpoints."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.services import Services
from slim_app.ui.explain_page import PRIVATE
from slim_app.ui.what_if_handlers import STUDIES, WhatIfHandlers
from slim_app.ui.what_if_panel import WhatIfPanel

NARROW = 768
"""Pixels up to which a page is narrow, as in the style sheets."""
WITH_WIDTH = "(...given) => [...given.slice(0, -1), window.innerWidth]"


def wire(services: Services, explain: dict[str, Any]) -> WhatIfHandlers:
    """`explain`: the parts of the explain tab, the panel among them. Returns what must hear when a visitor leaves."""
    handlers, panel = WhatIfHandlers(services), explain["what_if"]
    c, own = panel.c, explain["own"]

    def open_(subject, own, request: gr.Request):
        return panel.on_page(handlers.open(subject, own, request.session_hash))

    panel.subject.change(open_, [panel.subject, own], panel.parts, queue=False, **PRIVATE)
    _wire_change(handlers, panel, own)
    _wire_texts(handlers, panel, own)
    for kind in STUDIES:
        _wire_study(kind, handlers, panel, own)

    def test(plan, own):
        return panel.on_page(handlers.faith(plan, own))

    c["faith_run"].click(test, [c["plan"], own], [c["faith"]], concurrency_limit=2, **PRIVATE)
    return handlers


def _wire_change(handlers: WhatIfHandlers, panel: WhatIfPanel, own: gr.State) -> None:
    """The changed copy of the purchases."""
    c = panel.c

    def edit(changed, plan, event: gr.EventData):
        return panel.on_page(handlers.edit(changed, plan, event._data))

    def add(changed, plan, own, typed, event: gr.EventData):
        return panel.on_page(handlers.add(changed, plan, own, typed, event._data))

    def submit(changed, plan, own, typed):
        return panel.on_page(handlers.submit(changed, plan, own, typed))

    parts = [c[name] for name in ("changed", "rows", "message", "search", "hits")]
    c["rows"].click(edit, [c["changed"], c["plan"]], parts, queue=False, **PRIVATE)
    c["hits"].click(add, [c["changed"], c["plan"], own, c["search"]], parts, queue=False, **PRIVATE)
    c["search"].submit(submit, [c["changed"], c["plan"], own, c["search"]], parts, queue=False, **PRIVATE)
    c["search"].change(
        handlers.search, [c["plan"], own, c["search"]], c["hits"], queue=False, trigger_mode="always_last", **PRIVATE
    )


def _wire_texts(handlers: WhatIfHandlers, panel: WhatIfPanel, own: gr.State) -> None:
    """Explain again, stop, word by word."""
    c = panel.c

    def begin(plan):
        return panel.on_page(handlers.begin("texts", plan))

    def run(plan, changed, own, diff, width, request: gr.Request):
        narrow = bool(width and width <= NARROW)
        for update in handlers.explain_again(plan, changed, own, diff, narrow, request.session_hash):
            yield panel.on_page(update)

    def show_diff(moment, plan, diff):
        return panel.on_page(handlers.show_diff(moment, plan, diff))

    names = "message texts diff outcome chart table moment texts_run texts_stop"
    c["texts_run"].click(
        begin, [c["plan"]], [c["message"], c["texts_run"], c["texts_stop"]], queue=False, **PRIVATE
    ).then(
        run, [c["plan"], c["changed"], own, c["diff"], c["width"]], [c[name] for name in names.split()],
        concurrency_limit=handlers.services.slots, concurrency_id="reasoner", js=WITH_WIDTH, **PRIVATE,
    )  # fmt: skip
    _wire_stop(c["texts_stop"], handlers)
    c["diff"].input(show_diff, [c["moment"], c["plan"], c["diff"]], [c["texts"]], queue=False, **PRIVATE)


def _wire_study(kind: str, handlers: WhatIfHandlers, panel: WhatIfPanel, own: gr.State) -> None:
    c = panel.c

    def begin(plan):
        return panel.on_page(handlers.begin(kind, plan))

    def run(plan, own, request: gr.Request):
        for update in handlers.study(kind, plan, own, request.session_hash):
            yield panel.on_page(update)

    parts = [c[kind], c[f"{kind}_run"], c[f"{kind}_stop"]]
    c[f"{kind}_run"].click(begin, [c["plan"]], parts, queue=False, **PRIVATE).then(
        run, [c["plan"], own], parts, concurrency_limit=handlers.services.slots, concurrency_id="reasoner", **PRIVATE
    )
    _wire_stop(c[f"{kind}_stop"], handlers)


def _wire_stop(button: gr.Button, handlers: WhatIfHandlers) -> None:
    def stop(request: gr.Request) -> None:
        handlers.signs.stop(request.session_hash)

    button.click(stop, None, None, queue=False, **PRIVATE)
