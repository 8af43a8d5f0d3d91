"""Named, typed endpoints: for gradio_client, HTTP and, with the same docstrings, as MCP tools."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import gradio as gr

from slim_app.compare import Run
from slim_app.compare_state import sample_of
from slim_app.errors import SlimError
from slim_app.history import parse_history
from slim_app.pipeline import explain, rank_rationale
from slim_app.recommenders.rankers import choose_ranker, rankers_of
from slim_app.recommenders.text_match import DEFAULT_RANKER
from slim_app.services import Services
from slim_app.ui import api_report, api_steer, api_what_if
from slim_app.ui.comparing import side_of
from slim_app.ui.faults import as_gradio_errors, check_rationale

MAX_SEARCH = 100


def build(services: Services) -> None:
    """Register every endpoint inside the current Blocks: those below and those of the files `api_*`."""
    first = next(iter(services.domains))

    def recommend(
        history: list[str] | str, domain: str = first, ranker: str = services.ranker, k: int = 10, writer: str = "",
        bound: bool = False,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Recommend products for a purchase history, with the step-by-step reasoning that ranked them.

        Args:
            history: Purchases, oldest first: a JSON list of titles or ids, or text with one of them a line.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: Text matching: "reasoning", "reasoning+history", "pooled" or "history" (no language model). Where
                `domains` lists them: "fused" (the reasoning and a trained sequence model) and "sequence" (that model
                alone, no language model).
            k: How many products, 1 to 100.
            writer: Who writes: "student", "free" (student without the grammar), "base", "teacher", "recorded", where
                available; empty for the default.
            bound: Whether the products named in Step 3 must be products of the catalogue; for "student" and "base"
                where they run embedded.

        Returns:
            One JSON object: rationale, recommendations with evidence, grounding, stats, model, notices.
        """
        with as_gradio_errors():
            place = services.domain(domain)
            chosen = choose_ranker(ranker, place)
            items = parse_history(history, place.catalog)
            bind, writer = place.catalog if bound else None, writer or services.default_writer
            reasoner = services.reasoner(writer, domain, bind) if chosen.uses_rationale else None
            state = None
            for state in explain(items, place, reasoner, chosen, services.encoder, k):
                yield state.as_dict()
            if state is not None and state.status == "failed" and not state.rationale.text:
                raise SlimError(state.error)  # with text, the answer is that text, marked failed and incomplete

    def rank(
        rationale: str, domain: str = first, history: list[str] | str = "", k: int = 10, ranker: str = DEFAULT_RANKER
    ) -> dict[str, Any]:
        """Rank a catalogue by a rationale that the caller wrote; no language model takes part.

        Args:
            rationale: Text with "Step 1:", "Step 2:" and "Step 3:" parts; looser forms are understood too.
            domain: Which catalogue to rank; `domains` lists them.
            history: Purchases to leave out of the list: a JSON list of titles or ids, or one a line; may be empty.
            k: How many products, 1 to 100.
            ranker: As in `recommend`, if it uses a rationale.

        Returns:
            The same JSON object as `recommend`.
        """
        with as_gradio_errors():
            place = services.domain(domain)
            check_rationale(rationale)
            items = parse_history(history, place.catalog) if history else []
            chosen = choose_ranker(ranker, place)
            if not chosen.uses_rationale:
                raise SlimError(f"The ranker “{ranker}” reads no rationale. Choose another one, or call `recommend`.")
            return rank_rationale(rationale, items, place, chosen, services.encoder, k).as_dict()

    def compare(
        history: list[str] | str, domain: str = first, writers: list[str] | str = "student, base",
        ranker: str = DEFAULT_RANKER, k: int = 10,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Let two or three writers reason about the same purchases, side by side, and compare what they wrote.

        Args:
            history: Purchases, oldest first: a JSON list of titles or ids, or text with one of them a line.
            domain: Which catalogue to rank; `domains` lists them.
            writers: Two or three of "student", "free" (student without the grammar), "base", "teacher", "recorded"
                (the unchanged sample histories), where available: a list, or text with commas.
            ranker: As in `recommend`, if it uses a rationale.
            k: How many products of each list are compared, 1 to 100.

        Returns:
            One JSON object: `sides` (A, B, C: model, status, error, rationale, stats) and, when all have ended,
            `comparison`: for each side form, grounding, speed, cost and list, for each pair what they share. What is
            not known is null.
        """
        with as_gradio_errors():
            place = services.domain(domain)
            items = parse_history(history, place.catalog)
            sides = [side_of(services, writer, domain) for writer in _writers(writers)]
            sample = sample_of(services.samples(domain), items)
            chosen = choose_ranker(ranker, place)
            held_out = sample.next if sample else ""
            with closing(Run(sides, items, place, services.encoder, chosen, held_out, k).states()) as states:
                for state in states:
                    yield state.as_dict()

    def search_catalog(query: str, domain: str = first, limit: int = 10) -> list[dict[str, Any]]:
        """Find products of a catalogue by title, brand, category or id; typing errors are forgiven.

        Args:
            query: What to look for.
            domain: Which catalogue to search; `domains` lists them.
            limit: How many hits, 1 to 100.

        Returns:
            Hits, best first: id, title, brand, category, score (0 to 100).
        """
        with as_gradio_errors():
            catalog = services.domain(domain).catalog
            if isinstance(limit, bool) or not isinstance(limit, (int, float)) or not 1 <= limit <= MAX_SEARCH:
                raise SlimError(f"limit is how many hits to return: a whole number from 1 to {MAX_SEARCH}.")
            found = catalog.search(str(query or ""), int(limit))
            return [
                {"id": i.id, "title": i.title, "brand": i.brand, "category": i.category, "score": round(hit.score, 1)}
                for hit in found
                for i in [catalog.items[hit.row]]
            ]

    def domains() -> list[dict[str, Any]]:
        """List the catalogues of this app: name, label, number of products and sample shoppers, where they come from.

        Returns:
            One object a catalogue; `rankers` can rank it, `trained_on` says what its recommender learned from.
        """
        return [
            {
                "name": d.name, "label": d.label, "items": len(d.catalog), "shoppers": len(d.shoppers), "note": d.note,
                "rankers": rankers_of(d), "trained_on": d.recommender.trained_on if d.recommender else "",
            }
            for d in services.domains.values()
        ]

    gr.api(recommend, api_name="recommend", concurrency_limit=services.slots, concurrency_id="reasoner")
    gr.api(rank, api_name="rank", concurrency_limit=4)
    gr.api(compare, api_name="compare", concurrency_limit=services.slots, concurrency_id="reasoner")
    gr.api(search_catalog, api_name="search_catalog", queue=False)
    gr.api(domains, api_name="domains", queue=False)
    api_report.build(services)
    api_steer.build(services)
    api_what_if.build(services)


def _writers(given: object) -> list[str]:
    """Ids of writers, each once."""
    names = given.split(",") if isinstance(given, str) else given
    if not isinstance(names, list):
        raise SlimError("Name the writers in a list, or in text with commas between them: student, base.")
    return list(dict.fromkeys(str(name).strip() for name in names))
