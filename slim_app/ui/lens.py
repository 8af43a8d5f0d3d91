"""The fusion lens below the list: its parts, and what they show of a finished run."""

from __future__ import annotations

import logging
from typing import Any

import gradio as gr

from slim_app.errors import SlimError
from slim_app.recommenders.rankers import choose_ranker, rankers_of
from slim_app.recommenders.sides import look
from slim_app.schema import State
from slim_app.services import Services
from slim_app.ui import render, render_lens, words

log = logging.getLogger(__name__)


class LensPanel:
    """Laid out where it is made, hidden until a run gives it something to show. Holds nothing of any visitor."""

    def __init__(self, services: Services, panel: Any, clicks: str) -> None:
        self.services = services
        self.weight = gr.State(None)
        """Weight of the reasoning, 0 to 1, that the visitor moved the slider to; None at the learned one."""
        self.box = gr.Accordion(words.LENS_PANEL, open=False, visible=False, elem_id="lens")
        with self.box, gr.Row(equal_height=False):
            with gr.Column(scale=6):
                self.head = panel("", "lens-head")
                self.slider = gr.Slider(0, 100, 50, step=1, label=words.LENS_WEIGHT, elem_id="lens-weight", buttons=[])
                self.ends = panel("", "lens-ends", clicks)
                self.moved = panel("", "lens-moved")
            with gr.Column(scale=7):
                self.plot = gr.Plot(show_label=False, label=words.CHART_LABEL, elem_id="lens-chart")
            with gr.Column(scale=7):
                self.table = panel("", "lens-table")

    @property
    def parts(self) -> list[Any]:
        return [self.box, self.head, self.slider, self.ends, self.moved, self.plot, self.table, self.weight]

    def show(self, state: State | None, weight: float | None = None, moved: bool = False) -> dict[Any, Any]:
        """Component → value, for a finished run and a weight from 0 to 1 (None: the learned one).

        Where there is nothing to weigh (no rationale, no recommender, no purchase that it knows), the lens is hidden.
        `moved`: the slider was moved to this weight, so it must not be moved back under the person's hand.
        """
        hidden = {self.box: gr.update(visible=False), self.weight: None}
        if state is None or not any(state.rationale.segments()) or state.domain not in self.services.domains:
            return hidden
        domain = self.services.domains[state.domain]
        if "fused" not in rankers_of(domain):
            return hidden
        try:
            ranker = choose_ranker("fused", domain)
            if not ranker.known(state.history):
                return hidden
            sides = ranker.sides(state.history, state.rationale, self.services.encoder)
        except SlimError as error:
            return {self.box: gr.update(visible=True), self.head: render.error(error)}
        weight = sides.nearly_learned(weight)
        items = domain.catalog.items
        lens = look(sides, ~domain.catalog.mask(state.history), len(state.recommendations), weight)
        return {
            self.box: gr.update(visible=True),
            self.head: render_lens.intro(ranker.backbone, ranker.trained_on, state.ranker == "fused"),
            self.ends: render_lens.ends(lens, ranker.backbone),
            self.plot: render_lens.chart(lens, items, ranker.backbone),
            self.moved: render_lens.moved(lens, items, ranker.backbone),
            self.table: render_lens.table(lens, items, ranker.backbone),
            self.weight: weight,
        } | ({} if moved else {self.slider: round(100 * lens.weight)})
