"""The evaluation tab: its controls, a box for each figure, the events. Figures come when the tab is first opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components.plot import PlotData

from slim_app.ui import render_room
from slim_app.ui import words_room as said
from slim_app.ui.explain_page import FORWARD_CLICKS, PRIVATE, panel
from slim_app.ui.room import AFFECTED, Room, options_of
from slim_app.ui.room_figures import BUILDERS

FORWARD_POINTS = FORWARD_CLICKS + (
    " element.addEventListener('room-point', (e) => trigger('click', { act: 'behind', row: e.detail }));"
)
"""room.js says which bar of the chart above was clicked."""
ROWS = (
    (("accuracy", "popularity"), ("steps", "sparsity")),
    (("novelty", "quality"), ("cost", "worth", "differences")),
)
"""Columns of about the same height, side by side where there is room; on a phone the style sheet orders them."""


def build(folder: Path, tab: gr.Tab) -> None:
    """Lay out the tab of the evaluations in `folder` inside the current Blocks and wire it."""
    room = Room(folder)
    c: dict[str, Any] = {"drawn": gr.State(False)}
    with gr.Column(elem_id="room"):
        panel(render_room.intro(), "room-intro")
        c["message"] = panel("", "room-message")
        with gr.Row(elem_id="room-choices", elem_classes="compare-box", visible=False) as c["choices"]:
            c["picker"] = gr.Dropdown([], label=said.PICKER_LABEL, elem_id="room-picker", visible=False)
            c["measure"] = gr.Radio(
                [(label, key) for key, label in said.MEASURES.items()], value="ndcg@10", label=said.MEASURE_LABEL,
                elem_id="room-measure",
            )  # fmt: skip
            c["where"] = gr.Radio(
                [(label, key) for key, label in said.WHERE.items()], value="101", label=said.WHERE_LABEL,
                elem_id="room-where",
            )  # fmt: skip
        for columns in ROWS:
            with gr.Row(elem_classes="room-row", equal_height=False):
                for names in columns:
                    with gr.Column(scale=1, elem_classes="room-column"):
                        for name in names:
                            _box(c, name)
    _wire(c, room, tab)


def _box(c: dict[str, Any], name: str) -> None:
    with gr.Column(elem_id=f"room-fig-{name}", elem_classes=["compare-box", "room-fig"]):
        c[f"{name}_head"] = panel("", f"room-{name}-head")
        if name == "novelty":
            c["novelty"] = gr.Radio(
                [(label, key) for key, label in said.NOVELTY.items()], value="efd@10", label=said.NOVELTY_LABEL,
                elem_id="room-novelty", visible=False,
            )  # fmt: skip
        if name == "sparsity":
            c["shown"] = gr.Dropdown(
                [], label=said.SHOWN_LABEL, multiselect=True, elem_id="room-shown", visible=False, max_choices=8
            )
        c[f"{name}_plot"] = gr.Plot(show_label=False, label=said.FIGURES[name][0], visible=False)
        c[f"{name}_below"] = panel("", f"room-{name}-below", FORWARD_POINTS)


def _wire(c: dict[str, Any], room: Room, tab: gr.Tab) -> None:
    choices = [c[name] for name in ("picker", "measure", "where", "novelty", "shown")]

    def parts(names) -> list[Any]:
        return [c[f"{name}_{part}"] for name in names for part in ("head", "plot", "below")]

    def show(key, options, names) -> dict[Any, Any]:
        out = {}
        for name, figure in room.figures(key, options, names).items():
            plot = figure["plot"]
            value = PlotData(type="plotly", plot=plot) if plot else None
            out[c[f"{name}_head"]], out[c[f"{name}_below"]] = figure["head"], figure["below"]
            out[c[f"{name}_plot"]] = gr.update(value=value, visible=plot is not None)
        return out

    def everything(key, measure, where, novelty) -> dict[Any, Any]:
        """All figures of one evaluation; the line charts begin with its most telling runs."""
        runs, first = room.shown(key)
        return {
            **show(key, options_of(measure, where, novelty, first), BUILDERS),
            c["shown"]: gr.update(choices=runs, value=first, visible=bool(runs)),
            c["novelty"]: gr.update(visible=bool(runs)),
        }

    def opened(drawn, measure, where, novelty):
        if drawn:
            return gr.skip()
        results, errors = room.load()
        key = results[0].key if results else None
        found = render_room.choices(results)
        return {
            **everything(key, measure, where, novelty), c["drawn"]: True,
            c["message"]: render_room.message(errors, results), c["choices"]: gr.update(visible=bool(results)),
            c["picker"]: gr.update(choices=found, value=key, visible=len(found) > 1),
        }  # fmt: skip

    def changer(names):
        def change(key, measure, where, novelty, shown):
            return show(key, options_of(measure, where, novelty, shown), names)

        return change

    def looker(name):
        def look(key, measure, where, novelty, shown, event: gr.EventData):
            row = event._data.get("row") if event._data.get("act") == "behind" else None
            found = room.look_behind(key, options_of(measure, where, novelty, shown), name, row)
            return gr.skip() if found is None else found

        return look

    every = [*parts(BUILDERS), c["shown"], c["novelty"]]
    tab.select(
        opened, [c["drawn"], c["measure"], c["where"], c["novelty"]],
        [*every, c["drawn"], c["message"], c["choices"], c["picker"]], queue=False, **PRIVATE,
    )  # fmt: skip
    c["picker"].input(everything, choices[:4], every, queue=False, **PRIVATE)
    for control, names in AFFECTED.items():
        c[control].input(
            changer(names), choices, parts(names), queue=False, trigger_mode="always_last", **PRIVATE
        )
    for name in BUILDERS:
        c[f"{name}_below"].click(looker(name), choices, c[f"{name}_below"], queue=False, **PRIVATE)
