"""The what-if panel below the three beats: its parts, where they stand, and how an update reaches them."""

from __future__ import annotations

from typing import Any

import gradio as gr

from slim_app.schema import State
from slim_app.ui import render_studies, render_what_if
from slim_app.ui import words_what_if as said
from slim_app.ui.what_if_handlers import ORDERS, Update
from slim_app.ui.what_if_plan import Subject


class WhatIfPanel:
    """Laid out where it is made, hidden until a run gives it something to ask about. `c`: its parts, by name."""

    def __init__(self, panel: Any, clicks: str, rows: str) -> None:
        """`panel` makes a piece of HTML; `clicks` and `rows` are the scripts of its buttons and of dragged rows."""
        self.subject = gr.State(None)
        self.c: dict[str, Any] = {
            "plan": gr.State(None), "moment": gr.State(None),
            "changed": gr.State([]), "width": gr.Number(None, visible=False),
        }  # fmt: skip
        c = self.c
        c["box"] = gr.Accordion(said.PANEL, open=False, visible=False, elem_id="what-if")
        with c["box"]:
            c["note"] = panel("", "what-if-note")
            with gr.Row(equal_height=False, elem_id="what-if-change"):
                with gr.Column(scale=6):
                    self._change(panel, clicks, rows)
                with gr.Column(scale=14, elem_id="what-if-answer"):
                    c["texts"] = panel(render_what_if.texts(None), "what-if-texts")
                    c["diff"] = gr.Checkbox(False, label=said.DIFF_LABEL, elem_id="what-if-diff", visible=False)
                    c["outcome"] = panel("", "what-if-outcome")
                    c["chart"] = gr.Plot(
                        show_label=False, label=said.CHART_LABEL, elem_id="what-if-chart", visible=False
                    )
                    c["table"] = panel("", "what-if-ranks")
            with gr.Row(equal_height=False, elem_id="what-if-questions"):
                for kind in said.QUESTIONS:
                    self._question(kind, panel)

    def _change(self, panel: Any, clicks: str, rows: str) -> None:
        c, (title, hint) = self.c, said.CHANGE
        panel(f'<h3>{title}</h3><p class="fine">{hint}</p>', "what-if-head")
        c["search"] = gr.Textbox(
            label=said.SEARCH_LABEL, placeholder=said.SEARCH_HINT, elem_id="what-if-search", max_lines=1,
            max_length=300,
        )  # fmt: skip
        c["hits"] = panel("", "what-if-hits", clicks)
        c["rows"] = panel("", "what-if-history", clicks + rows)
        c["message"] = panel("", "what-if-message")
        with gr.Row(elem_id="what-if-actions"):
            c["texts_run"] = gr.Button(said.RUN, variant="primary", elem_id="what-if-run", scale=4, min_width=0)
            c["texts_stop"] = gr.Button(
                said.STOP, variant="secondary", elem_id="what-if-stop", scale=1, min_width=72, interactive=False
            )

    def _question(self, kind: str, panel: Any) -> None:
        c, button = self.c, said.QUESTIONS[kind][2]
        with gr.Column(scale=7, elem_id=f"what-if-{kind}-box"):
            panel(render_studies.question(kind, ORDERS), f"what-if-{kind}-head")
            with gr.Row(elem_classes=["what-if-buttons"]):
                c[f"{kind}_run"] = gr.Button(
                    button, variant="secondary", elem_id=f"what-if-{kind}-run", scale=4, min_width=0
                )
                if kind != "faith":
                    c[f"{kind}_stop"] = gr.Button(
                        said.STOP, variant="secondary", elem_id=f"what-if-{kind}-stop", scale=1, min_width=72,
                        interactive=False,
                    )  # fmt: skip
            c[kind] = panel("", f"what-if-{kind}")

    @property
    def parts(self) -> list[Any]:
        return [part for name, part in self.c.items() if name != "width"]

    def about(self, state: State | None) -> dict[Any, Any]:
        """The result that stands above, or None: what the explain tab says when it changes."""
        return {self.subject: Subject(state) if state else None}

    def on_page(self, update: Update) -> Any:
        """Names → components. `running`: job → whether it runs; `refused`: nobody can write; `label`: of the button."""
        out = {self.c[name]: value for name, value in update.items() if name not in ("running", "refused", "label")}
        for job, running in update.get("running", {}).items():
            label = {"value": update["label"]} if job == "texts" and "label" in update else {}
            out[self.c[f"{job}_run"]] = gr.update(interactive=not running and not update.get("refused"), **label)
            out[self.c[f"{job}_stop"]] = gr.update(interactive=running)
        return out or gr.skip()
