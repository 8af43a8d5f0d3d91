"""The explain tab: what you bought → what the model understands → what it puts in front of you."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.recommenders.rank import MAX_K
from slim_app.recommenders.rankers import default_for
from slim_app.services import Services
from slim_app.ui import render, words
from slim_app.ui.bound import BoundSwitch
from slim_app.ui.choosing import Choices, backbone, ranker_choices, sample_choices
from slim_app.ui.editing import HistoryEditor
from slim_app.ui.handlers import OWN, Handlers, Update
from slim_app.ui.lens import LensPanel
from slim_app.ui.report_links import ReportBar
from slim_app.ui.signs import StopSigns
from slim_app.ui.steer_events import IN_TURN, SteerPanel
from slim_app.ui.what_if_panel import WhatIfPanel

FILE_TYPES = [".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".txt"]
PRIVATE = {"api_visibility": "private", "show_progress": "hidden"}
FORWARD_CLICKS = (
    "element.addEventListener('click', (e) => { const b = e.target.closest('[data-act]');"
    " if (b && !b.disabled) trigger('click', { ...b.dataset }); });"
)
DRAG_ROWS = """
let from = null;
const row = (e) => e.target.closest ? e.target.closest('li[data-row]') : null;
const clear = () => element.querySelectorAll('.over').forEach((li) => li.classList.remove('over'));
element.addEventListener('dragstart', (e) => { const li = row(e); if (!li) return;
  from = li.dataset.row; e.dataTransfer.effectAllowed = 'move'; e.dataTransfer.setData('text/plain', ''); });
element.addEventListener('dragover', (e) => { const li = row(e); if (!li || from === null) return;
  e.preventDefault(); clear(); li.classList.add('over'); });
element.addEventListener('dragend', () => { from = null; clear(); });
element.addEventListener('drop', (e) => { const li = row(e); clear(); if (!li || from === null) return;
  e.preventDefault(); trigger('click', { act: 'move', row: from, to: li.dataset.row }); from = null; });
"""


def panel(value: str, elem_id: str, js: str | None = None) -> gr.HTML:
    """A piece of the page that is drawn by `render`."""
    return gr.HTML(value, elem_id=elem_id, elem_classes=["slim"], js_on_load=js, apply_default_css=False)


def build(services: Services, signs: StopSigns) -> dict[str, Any]:
    """Lay out the tab inside the current Blocks and wire it. Returns its parts, by name."""
    handlers, editor = Handlers(services, signs), HistoryEditor(services)
    first = next(iter(services.domains.values()))
    sample = first.shoppers[0] if first.shoppers else None
    items = first.history(sample) if sample else []
    c: dict[str, Any] = {"history": gr.State(items), "own": gr.State(None, time_to_live=3600), "result": gr.State(None)}
    c["domain"] = gr.Radio(
        [(d.label, d.name) for d in services.domains.values()] + [(words.OWN_CATALOGUE, OWN)],
        value=first.name, label=words.CATALOGUE, container=False, elem_id="domain",
    )  # fmt: skip
    with gr.Row(elem_id="beats", equal_height=False):
        with gr.Column(scale=6, elem_id="beat-1"):
            _history_column(c, services, first, sample, items)
        with gr.Column(scale=7, elem_id="beat-2"):
            panel(render.beat(2), "beat-2-head")
            c["steer"] = SteerPanel(services, handlers, panel, c)
            with gr.Accordion(words.PROMPT_PANEL, open=False, elem_id="prompt-panel"):
                c["prompt"] = panel(f'<p class="empty">{words.EMPTY_PROMPT}</p>', "prompt")
        with gr.Column(scale=7, elem_id="beat-3"):
            panel(render.beat(3), "beat-3-head")
            c["ranking"] = panel(render.ranking(None), "ranking")
            c["report"] = ReportBar(panel, FORWARD_CLICKS, "report", "ranking")
    c["lens"] = LensPanel(services, panel, FORWARD_CLICKS)
    c["what_if"] = WhatIfPanel(panel, FORWARD_CLICKS, DRAG_ROWS)
    _wire(c, handlers, editor, services)
    return c


def _history_column(c: dict[str, Any], services: Services, first, sample, items) -> None:
    panel(render.beat(1), "beat-1-head")
    with gr.Column(visible=False, elem_id="own-catalogue") as c["own_panel"]:
        panel(f'<p class="fine">{words.CATALOGUE_HINT}</p>', "own-hint")
        with gr.Column(elem_id="catalogue-file"):
            c["catalogue_file"] = gr.UploadButton(words.CATALOGUE_BUTTON, file_types=FILE_TYPES)
        c["catalogue_view"] = panel("", "catalogue-view")
    c["chips"] = panel(render.chips(first.shoppers, sample), "samples", FORWARD_CLICKS)
    c["more"] = gr.Dropdown(
        sample_choices(services, first.name), value=None, label=words.MORE_SAMPLES.format(count=len(first.shoppers)),
        elem_id="more-samples", num_choices_shown=1_000, visible=len(first.shoppers) > 3,
    )  # fmt: skip
    c["search"] = gr.Textbox(
        label=words.SEARCH_LABEL, placeholder=words.SEARCH_HINT.format(count=len(first.catalog)), elem_id="search",
        max_lines=1, max_length=300,
    )  # fmt: skip
    c["hits"] = panel("", "hits", FORWARD_CLICKS)
    c["history_view"] = panel(render.history(items), "history", FORWARD_CLICKS + DRAG_ROWS)
    with gr.Accordion(words.PASTE_PANEL, open=False, elem_id="paste-panel"):
        c["paste"] = gr.Textbox(
            label=words.PASTE_LABEL, placeholder=words.PASTE_HINT, lines=4, max_lines=10, elem_id="paste"
        )
        c["paste_add"] = gr.Button(words.PASTE_ADD, size="sm", elem_id="paste-add")
        with gr.Column(elem_id="history-file"):
            c["history_file"] = gr.UploadButton(words.UPLOAD_HISTORY, size="sm", file_types=FILE_TYPES)
    with gr.Accordion(words.OPTIONS_PANEL, open=False, elem_id="options"):
        writers = [w for w in words.WRITERS if w in services.reasoners or (w == "recorded" and services.recorded)]
        c["writer"] = gr.Radio(
            [(words.WRITERS[w], w) for w in writers], value=services.default_writer if writers else None,
            label=words.WRITER_LABEL, info=words.WRITER_HINT if "free" in writers else None, elem_id="writer",
        )  # fmt: skip
        c["bound"] = BoundSwitch(services, panel)
        c["ranker"] = gr.Radio(
            ranker_choices(first), value=default_for(first, services.ranker), label=words.RANKER_LABEL,
            elem_id="ranker",
        )  # fmt: skip
        chosen = default_for(first, services.ranker)
        c["ranker_help"] = panel(render.ranker_help(chosen, backbone(first)), "ranker-help")
        c["k"] = gr.Slider(1, min(MAX_K, 50), value=10, step=1, label=words.K_LABEL, elem_id="k")
    c["message"] = panel(render.error(services.missing) if services.missing else "", "message")
    with gr.Row(elem_id="actions"):
        c["run"] = gr.Button(words.RUN, variant="primary", elem_id="run", scale=4, min_width=0)
        c["stop"] = gr.Button(words.STOP, variant="secondary", elem_id="stop", scale=1, min_width=72, interactive=False)


def _wire(c: dict[str, Any], handlers: Handlers, editor: HistoryEditor, services: Services) -> None:
    """Every event of the tab; all private, since the API has its own typed endpoints."""

    def on_page(update: Update) -> dict[Any, Any]:
        """Names → components; `running` is a word for the state of both buttons."""
        out = {c[name]: value for name, value in update.items() if name not in ("running", "lens")}
        if "lens" in update:
            out |= c["lens"].show(update["lens"]) | c["what_if"].about(update["lens"])
        if "running" in update:
            out[c["run"]] = gr.update(interactive=not update["running"])
            out[c["stop"]] = gr.update(interactive=update["running"])
        return out | c["steer"].begin(update) or gr.skip()

    choices = c["choices"] = Choices(services, c)
    names = "history history_view chips result reasoning ranking message search hits prompt run stop"
    everything = [c[n] for n in names.split()] + c["lens"].parts + [c["what_if"].subject, *c["steer"].states]
    editing = [c[n] for n in ("history", "domain", "own", "result")]
    edited = [*everything, c["paste"]]

    def pick_domain(name: str, own, ranker):
        return on_page(handlers.pick_domain(name, own)) | choices.follow(name, own, ranker)

    def pick_chip(name: str, event: gr.EventData):
        return on_page(handlers.pick_sample(name, str(event._data.get("id"))) | {"more": None})

    def pick_more(name: str, shopper_id: str | None):
        return on_page(handlers.pick_sample(name, shopper_id)) if shopper_id else gr.skip()

    def edit(history, name, own, result, event: gr.EventData):
        return on_page(editor.edit(history, name, result, event._data))

    def add(history, name, own, result, typed, event: gr.EventData):
        return on_page(editor.add(history, name, own, result, typed, event._data))

    def submit(history, name, own, result, typed):
        return on_page(editor.submit_search(history, name, own, result, typed))

    def paste(history, name, own, result, text):
        return on_page(editor.paste(history, name, own, result, text))

    def upload(history, name, own, result, file):
        return on_page(editor.upload_history(history, name, own, result, file))

    def bring(file):
        for update in handlers.upload_catalogue(file):
            page = on_page(update)
            if "own" in update:
                page[c["search"]] = gr.update(
                    value="", placeholder=words.SEARCH_HINT.format(count=len(update["own"].catalog))
                )
            yield page

    def run(history, name, own, writer, ranker, k, bound, request: gr.Request):
        for update in handlers.run(history, name, own, writer, ranker, k, request.session_hash, bound):
            yield on_page(update) | c["steer"].opened(update.get("result"), own)

    def weigh(result, written, edits, percent):
        weight = percent / 100
        return c["steer"].weighed(result, written, edits, weight) | c["lens"].show(result, weight, moved=True)

    def weigh_back(result, written, edits):
        return c["steer"].weighed(result, written, edits, None) | c["lens"].show(result)

    def stop(request: gr.Request) -> None:
        handlers.signs.stop(request.session_hash)

    c["domain"].input(  # not `change`: a page from a link chooses its catalogue by itself
        pick_domain, [c["domain"], c["own"], c["ranker"]], [*everything, *choices.parts], queue=False, **PRIVATE
    )
    c["chips"].click(pick_chip, [c["domain"]], [*everything, c["more"]], queue=False, **PRIVATE)
    c["more"].input(pick_more, [c["domain"], c["more"]], everything, queue=False, **PRIVATE)
    c["history_view"].click(edit, editing, edited, queue=False, **PRIVATE)
    c["hits"].click(add, [*editing, c["search"]], edited, queue=False, **PRIVATE)
    c["search"].change(
        editor.search,
        [c["domain"], c["own"], c["search"]],
        c["hits"],
        queue=False,
        trigger_mode="always_last",
        **PRIVATE,
    )
    c["search"].submit(submit, [*editing, c["search"]], edited, queue=False, **PRIVATE)
    c["paste_add"].click(paste, [*editing, c["paste"]], edited, queue=False, **PRIVATE)
    c["history_file"].upload(upload, [*editing, c["history_file"]], edited, **PRIVATE)
    c["catalogue_file"].upload(
        bring, [c["catalogue_file"]], [*everything, c["own"], c["catalogue_view"]], concurrency_limit=1,
        concurrency_id="encoder", **PRIVATE,
    )  # fmt: skip
    about = [c["ranker"], c["domain"], c["own"]]
    c["ranker"].change(choices.described, about, [c["ranker_help"], c["run"]], queue=False, **PRIVATE)
    bound = c["bound"].box
    c["writer"].change(c["bound"].follow, [c["writer"], bound], bound, queue=False, **PRIVATE)
    lens, steer = c["lens"], c["steer"]
    given, weighed = [c[n] for n in ("result", "written", "edits")], [*steer.parts, *lens.parts]
    lens.slider.input(weigh, [*given, lens.slider], weighed, trigger_mode="always_last", **IN_TURN, **PRIVATE)
    lens.ends.click(weigh_back, given, weighed, **IN_TURN, **PRIVATE)
    steer.wire(lens, PRIVATE)
    run_inputs = [c[n] for n in ("history", "domain", "own", "writer", "ranker", "k")] + [bound]
    c["run"].click(run, run_inputs, everything, concurrency_limit=services.slots, concurrency_id="reasoner", **PRIVATE)
    c["stop"].click(stop, None, None, queue=False, **PRIVATE)
