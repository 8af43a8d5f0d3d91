"""The endpoint `/report`: one case as a report card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import gradio as gr

from slim_app.errors import SlimError
from slim_app.history import parse_history
from slim_app.pipeline import explain, rank_rationale
from slim_app.recommenders.rankers import choose_ranker
from slim_app.report import file_name, to_html
from slim_app.report_card import card_of
from slim_app.schema import State
from slim_app.services import Services
from slim_app.ui.faults import as_gradio_errors, check_rationale


def build(services: Services) -> None:
    """Register `/report` inside the current Blocks."""
    first = next(iter(services.domains))

    def report(
        history: list[str] | str, domain: str = first, ranker: str = services.ranker, k: int = 10, writer: str = "",
        rationale: str = "", form: Literal["json", "html"] = "json", bound: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Make a report card of one case: purchases, reasoning, ranked products with evidence, versions, and a link.

        Args:
            history: Purchases, oldest first: a JSON list of titles or ids, or text with one of them a line.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: What ranks the catalogue, as in `recommend`.
            k: How many products, 1 to 100.
            writer: Who writes, as in `recommend`; empty for the default.
            rationale: Text with "Step 1:", "Step 2:" and "Step 3:" parts to rank by; then no language model takes part.
            form: "json" for the card itself, "html" for the same as one page that needs no network.
            bound: As in `recommend`.

        Returns:
            The card as one JSON object (its `schema` names the form; `link` is to be put behind the page's address);
            with "html", an object with `html`, the whole file, and `name`, a name for it.
        """
        with as_gradio_errors():
            if form not in ("json", "html"):
                raise SlimError(f"A report has the form “json” or “html”, not “{str(form)[:20]}”.")
            check_rationale(rationale)
            state = _run(services, history, domain, ranker, k, writer, rationale, bound)
            card = card_of(services, state, services.domain(domain))
            return card if form == "json" else {"name": file_name(card, "html"), "html": to_html(card)}

    gr.api(report, api_name="report", concurrency_limit=services.slots, concurrency_id="reasoner")


def _run(
    services: Services, history: object, domain: str, ranker: str, k: int, writer: str, rationale: str, bound: bool
) -> State:
    """The finished state: of the caller's text, of the writer's, or of the purchases alone."""
    place = services.domain(domain)
    chosen = choose_ranker(ranker, place)
    items = parse_history(history, place.catalog)
    if rationale.strip():
        if not chosen.uses_rationale:
            raise SlimError(f"The ranker “{ranker}” reads no rationale. Choose another one, or leave the text out.")
        return rank_rationale(rationale, items, place, chosen, services.encoder, k)
    if not chosen.uses_rationale:
        *_, state = explain(items, place, None, chosen, services.encoder, k)
        return state
    writer = writer or services.default_writer
    reasoner = services.reasoner(writer, domain, place.catalog if bound else None)
    *_, state = explain(items, place, reasoner, chosen, services.encoder, k)
    if state.status == "failed" and not state.rationale.text:
        raise SlimError(state.error)
    return replace(state, writer=writer)
