"""The whole page: header, tabs, API, in one Blocks."""

from __future__ import annotations

import gradio as gr

from slim_app.services import Services, model_line
from slim_app.ui import (
    api,
    compare_page,
    explain_page,
    link_events,
    room_page,
    what_if_events,
    words,
    words_compare,
    words_room,
)
from slim_app.ui.about import about
from slim_app.ui.desks import Desks
from slim_app.ui.escape import esc
from slim_app.ui.guide import guide
from slim_app.ui.handlers import Handlers
from slim_app.ui.signs import StopSigns
from slim_app.ui.what_if_handlers import WhatIfHandlers


def build_page(services: Services) -> gr.Blocks:
    """Everything a visitor sees and everything a client can call."""
    signs = StopSigns()
    with gr.Blocks(
        title=f"{words.TITLE} · {words.TAGLINE}", analytics_enabled=False, delete_cache=(3600, 3600)
    ) as page:
        explain_page.panel(_header(services), "header")
        with gr.Tabs(elem_id="tabs"):
            with gr.Tab(words.EXPLAIN_TAB, id="explain"):
                explain_page.panel(guide(), "guide")
                explain = explain_page.build(services, signs)
                what_if = what_if_events.wire(services, explain)
            with gr.Tab(words_compare.TAB, id="compare") as compare_tab:
                desks = compare_page.build(services, explain, compare_tab)
            with gr.Tab(words_room.TAB, id="evaluation") as evaluation_tab:
                room_page.build(services.results, evaluation_tab)
            with gr.Tab(words.ABOUT_TAB, id="about"):
                explain_page.panel(about(services), "about")
        # not between the tabs: Gradio counts a tab's place among all children of theirs
        link_events.wire(page, services, explain, Handlers(services, signs), desks)
        api.build(services)
        page.unload(_leaver(signs, desks, what_if))
    page.queue(max_size=64, default_concurrency_limit=8)
    return page


def _leaver(signs: StopSigns, desks: Desks, what_if: WhatIfHandlers):
    """A closed tab stops its own running jobs, and what was kept for it is forgotten."""

    def leave(request: gr.Request) -> None:
        signs.stop(request.session_hash)
        desks.leave(request.session_hash)
        what_if.leave(request.session_hash)

    return leave


def _header(services: Services) -> str:
    student = services.reasoners.get("student")
    who = model_line(student.info) if student else words.NO_MODEL_HERE
    return (
        f'<header class="slim-head"><h1>{words.TITLE}</h1><span class="tagline">{words.TAGLINE}</span>'
        f'<span class="who">{esc(who)}</span>'
        f'<button type="button" id="theme-switch" aria-label="{words.THEME_BUTTON}" title="{words.THEME_BUTTON}">'
        "◐</button></header>"
    )
