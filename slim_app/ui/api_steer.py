"""The endpoint of steering by rationale."""

from __future__ import annotations

import json
from typing import Any

import gradio as gr

from slim_app.errors import SlimError
from slim_app.history import parse_history
from slim_app.rationale import parse
from slim_app.rationale_edits import Edits
from slim_app.recommenders.rankers import choose_ranker
from slim_app.recommenders.text_match import DEFAULT_RANKER
from slim_app.services import Services
from slim_app.steering import steer as states_of
from slim_app.ui.faults import as_gradio_errors, check_rationale

MAX_JSON = 200_000
"""Characters of edits that come as text."""


def build(services: Services) -> None:
    """Register `/steer` inside the current Blocks."""
    first = next(iter(services.domains))

    def steer(
        rationale: str, edits: list[dict[str, Any]] | str = "", history: list[str] | str = "", domain: str = first,
        ranker: str = DEFAULT_RANKER, k: int = 10,
    ) -> dict[str, Any]:  # fmt: skip
        """Strike out, weigh, reword or add sentences of a rationale, and see how the ranked list moves.

        No language model takes part, so it answers at once. Without edits it tells what each sentence does to the
        list as it is written.

        Args:
            rationale: Text with "Step 1:", "Step 2:" and "Step 3:" parts, e.g. the `rationale.text` of `recommend`.
            edits: A JSON list with an object for each segment that changes: `key` ("3.2" is the second entry of step
                3, "1.1" the first sentence of step 1), `weight` (0 strikes it out, 0.5 half, 1 as written, 2 double,
                at most 5; up to 8 different ones) and `text` (other words). A new segment has a key of its own such as
                "+1", `step` and `text`.
            history: Purchases to leave out of the list: a JSON list of titles or ids, or one a line; may be empty.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: As in `recommend`, if it uses a rationale.
            k: How many products, 1 to 100.

        Returns:
            One JSON object: `recommendations` (each with evidence, its rank `before` and `delta`, the places it rose),
            `left` (products that are no longer among the first k), `segments` as they are now, and `influences`: for
            each segment the products that it lifted and sank. `seconds` is the time for all of it.
        """
        with as_gradio_errors():
            place = services.domain(domain)
            chosen = choose_ranker(ranker, place)
            check_rationale(rationale)
            items = parse_history(history, place.catalog) if history else []
            changed = Edits.from_rows(parse(rationale), _rows(edits))
            *_, last = states_of(changed, items, place, chosen, services.encoder, k)
            return last.as_dict()

    gr.api(steer, api_name="steer", concurrency_limit=4)


def _rows(edits: object) -> object:
    """Edits as a list; text is read as JSON."""
    if not isinstance(edits, str):
        return edits or []
    if not edits.strip():
        return []
    try:
        if len(edits) > MAX_JSON:
            raise ValueError
        return json.loads(edits)
    except (ValueError, RecursionError):
        raise SlimError("The edits must be a JSON list of segments, each with key, text and weight.") from None
