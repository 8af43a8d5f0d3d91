"""The switch that binds products to the catalogue, and what it was measured to cost and bring."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import gradio as gr

from slim_app.reasoners.binding import can_bind
from slim_app.services import Services
from slim_app.ui import words_report as said

log = logging.getLogger(__name__)
FIGURES = Path(__file__).resolve().parents[2] / "benchmarks/results/bound.json"


class BoundSwitch:
    """Laid out where it is made, below the choice of the writer; hidden where no writer can be bound."""

    def __init__(self, services: Services, panel: Any) -> None:
        self.services = services
        able = self.able(services.default_writer)
        anybody = any(map(can_bind, services.reasoners.values()))
        with gr.Column(visible=anybody, elem_id="bound-box"):
            self.box = gr.Checkbox(
                False, label=said.BOUND_LABEL, info=said.BOUND_HINT, interactive=able, elem_id="bound"
            )
            panel(measured(), "bound-measured")

    def able(self, writer: str | None) -> bool:
        """Whether this writer can be bound."""
        return can_bind(self.services.reasoners.get(writer or ""))

    def follow(self, writer: str | None, bound: bool) -> Any:
        """The switch after another writer was chosen: off and locked for one that cannot be bound."""
        able = self.able(writer)
        return gr.update(interactive=able, value=bool(bound and able))


def measured(file: Path = FIGURES) -> str:
    """One sentence with the figures of `benchmarks.bound`; nothing where they were not measured."""
    if not file.is_file():
        return ""
    try:
        found = json.loads(file.read_text("utf-8"))
        free, bound = found["all"]["free"], found["all"]["bound"]
        text = said.MEASURED.format(
            n=found["shoppers"],
            free_speed=free["tokens_per_second"], bound_speed=bound["tokens_per_second"],
            free_ood=100 * free["ood"], bound_ood=100 * bound["ood"],
            free_hr=100 * free["hr10_101"], bound_hr=100 * bound["hr10_101"],
            free_full=100 * free["hr10_full"], bound_full=100 * bound["hr10_full"],
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s holds no figures of benchmarks.bound (%r)", file, error)
        return ""
    return f'<p class="fine">{text}</p>'
