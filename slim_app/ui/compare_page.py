"""The compare tab: whose purchases, who writes, the summary, the steps side by side, and the vote. Layout only."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.domain import Domain
from slim_app.reasoners.live_teacher import KEY_LABEL, MAX_CHARS, MAX_KEY, MODEL_LABEL, URL_LABEL
from slim_app.recommenders.rank import MAX_K
from slim_app.recommenders.rankers import default_for
from slim_app.services import Services
from slim_app.ui import compare_events, link_events, render_compare, render_summary, words
from slim_app.ui import words_compare as said
from slim_app.ui.ballots import Ballots
from slim_app.ui.compare_events import NO_READERS, rankers, samples, writer_choices
from slim_app.ui.comparing import CompareHandlers
from slim_app.ui.desks import Desks
from slim_app.ui.explain_page import FORWARD_CLICKS, panel
from slim_app.ui.report_links import ReportBar

PLAIN = gr.InputHTMLAttributes(autocomplete="off", autocapitalize="off", spellcheck=False)


def build(services: Services, explain: dict[str, Any], tab: gr.Tab) -> Desks:
    """Lay out the tab inside the current Blocks and wire it. `explain`: parts of the explain tab, for its history."""
    handlers = CompareHandlers(services)
    ballots = Ballots(handlers)
    first = next(iter(services.domains.values()))
    sample = handlers.sample(first.name)
    items = handlers.history_of(first.name, sample)
    c: dict[str, Any] = {"history": gr.State(items)}
    panel(f'<div class="beat"><h2>{said.INTRO_TITLE}</h2><p>{said.INTRO}</p></div>', "compare-intro")
    with gr.Row(elem_id="compare-setup", equal_height=False):
        with gr.Column(scale=1, elem_classes="compare-box"):
            _whose(c, services, first, sample, items)
        with gr.Column(scale=1, elem_classes="compare-box"):
            _who(c, services, handlers, first, items)
    c["message"] = panel("", "compare-message")
    c["heads"] = panel("", "compare-heads", FORWARD_CLICKS)
    c["summary"] = panel(render_summary.summary(None), "compare-summary")
    c["diff"] = gr.Checkbox(False, label=said.DIFF_LABEL, container=False, elem_id="compare-diff")
    c["steps"] = panel(render_compare.steps(None), "compare-steps")
    _vote(c)
    c["lists"] = panel("", "compare-lists")
    c["report"] = ReportBar(panel, FORWARD_CLICKS, "compare-report", "compare-lists", link=False)
    _tally(c)
    compare_events.wire(c, handlers, ballots, explain, tab)
    link_events.wire_comparison(services, c["report"], handlers.desks)
    return handlers.desks


def _beat(title: tuple[str, str], elem_id: str) -> None:
    panel(f'<div class="beat"><h3>{title[0]}</h3><p>{title[1]}</p></div>', elem_id)


def _whose(c: dict[str, Any], services: Services, first: Domain, sample, items) -> None:
    _beat(said.WHOSE, "compare-whose")
    c["domain"] = gr.Radio(
        [(d.label, d.name) for d in services.domains.values()], value=first.name, label=said.DOMAIN_LABEL,
        elem_id="compare-domain",
    )  # fmt: skip
    c["sample"] = gr.Dropdown(
        samples(services, first.name), value=sample.shopper_id if sample else None, label=said.SAMPLE_LABEL,
        elem_id="compare-sample", visible=sample is not None,
    )  # fmt: skip
    c["take"] = gr.Button(said.TAKE.format(tab=words.EXPLAIN_TAB), size="sm", elem_id="compare-take")
    c["purchases"] = panel(render_compare.purchases(items), "compare-purchases")


def _who(c: dict[str, Any], services: Services, handlers: CompareHandlers, first: Domain, items) -> None:
    _beat(said.WHO, "compare-who")
    c["writers"] = gr.CheckboxGroup(
        writer_choices(handlers.writers(first.name, items)), value=handlers.preset(first.name, items),
        label=said.WRITERS_LABEL, elem_id="compare-writers",
    )  # fmt: skip
    with gr.Group(visible="teacher" in handlers.preset(first.name, items), elem_id="compare-teacher") as c["teacher"]:
        hint = f"{said.TEACHER_OWN} {said.TEACHER_DEFAULT if 'teacher' in services.reasoners else ''}"
        panel(f'<p class="fine">{hint}</p>', "compare-teacher-hint")
        c["url"] = gr.Textbox(
            label=URL_LABEL, placeholder="https://host/v1", visible=services.reach != "off", elem_id="compare-url",
            max_lines=1, max_length=MAX_CHARS, html_attributes=PLAIN,
        )  # fmt: skip
        c["model"] = gr.Textbox(
            label=MODEL_LABEL, elem_id="compare-model", max_lines=1, max_length=MAX_CHARS, html_attributes=PLAIN
        )
        c["key"] = gr.Textbox(
            label=KEY_LABEL, type="password", elem_id="compare-key", max_length=MAX_KEY,
            html_attributes=gr.InputHTMLAttributes(autocomplete="new-password", spellcheck=False),
        )  # fmt: skip
        c["estimate"] = panel("", "compare-estimate")
    c["blind"] = gr.Checkbox(False, label=said.BLIND_LABEL, info=said.BLIND_HINT, elem_id="compare-blind")
    with gr.Accordion(said.OPTIONS, open=False, elem_id="compare-options"):
        chosen = default_for(first, services.ranker)
        c["ranker"] = gr.Radio(
            rankers(first), value="reasoning" if chosen in NO_READERS else chosen, label=words.RANKER_LABEL,
            elem_id="compare-ranker",
        )  # fmt: skip
        c["k"] = gr.Slider(1, min(MAX_K, 50), value=10, step=1, label=words.K_LABEL, elem_id="compare-k")
    with gr.Row(elem_id="compare-actions"):
        c["run"] = gr.Button(said.RUN, variant="primary", elem_id="compare-run", scale=3, min_width=0)
        c["stop"] = gr.Button(said.STOP_ALL, elem_id="compare-stop", scale=1, min_width=96, interactive=False)


def _vote(c: dict[str, Any]) -> None:
    with gr.Column(elem_classes="compare-box", elem_id="compare-vote"):
        _beat(said.BALLOT, "compare-ballot-head")
        with gr.Row(elem_id="compare-verdicts"):
            for verdict, label in said.VERDICTS.items():
                c[verdict] = gr.Button(label, elem_id=f"compare-{verdict}", min_width=120)
        c["comment"] = gr.Textbox(label=said.COMMENT_LABEL, lines=2, max_length=1_000, elem_id="compare-comment")
        c["keep"] = gr.Checkbox(
            False, label=said.KEEP_LABEL, info=said.KEEP_HINT, visible=False, elem_id="compare-keep"
        )
        c["ballot"] = panel("", "compare-ballot")


def _tally(c: dict[str, Any]) -> None:
    with gr.Accordion(said.TALLY, open=False, elem_id="compare-tally"):
        c["tallies"] = panel(render_summary.tallies(()), "compare-tallies")
        c["pairs"] = gr.State([])
        with gr.Row(elem_id="compare-exports"):
            c["csv"] = gr.Button(said.EXPORTS["csv"], size="sm", elem_id="compare-csv")
            c["json"] = gr.Button(said.EXPORTS["json"], size="sm", elem_id="compare-json")
            c["pair"] = gr.Dropdown([], label=said.PAIR_LABEL, elem_id="compare-pair", scale=2)
            c["llm"] = gr.Button(said.EXPORTS["llm"], size="sm", elem_id="compare-llm")
        c["export_message"] = panel("", "compare-export-message")
        c["file"] = gr.DownloadButton(visible="hidden")
