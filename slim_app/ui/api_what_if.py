"""Endpoints that ask what other purchases would change: `/what_if`, `/purchases_that_matter` and `/faithfulness`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Literal

import gradio as gr

from slim_app.errors import SlimError
from slim_app.faithfulness import faithfulness as test
from slim_app.history import parse_history
from slim_app.history_studies import leave_one_out, order_shuffle
from slim_app.rationale import parse
from slim_app.recommenders.rank import rank
from slim_app.recommenders.rankers import choose_ranker
from slim_app.recommenders.text_match import DEFAULT_RANKER
from slim_app.schema import Item, Rationale
from slim_app.services import Services
from slim_app.ui.faults import as_gradio_errors, check_rationale
from slim_app.what_if import what_if as ask


def build(services: Services) -> None:
    """Register the endpoints inside the current Blocks."""
    first = next(iter(services.domains))

    def what_if(
        history: list[str] | str, changed: list[str] | str, domain: str = first, ranker: str = services.ranker,
        k: int = 10, writer: str = "", rationale: str = "",
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Explain a changed purchase history anew, and compare the reasoning and the ranked list with those before.

        Args:
            history: Purchases before, oldest first: a JSON list of titles or ids, or text with one of them a line.
            changed: Purchases after: some removed, added or moved; in the same forms.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: What ranks the catalogue, as in `recommend`.
            k: How many products of each list, 1 to 100.
            writer: Who writes, as in `recommend`; empty for the default. "recorded" cannot write about other purchases.
            rationale: What was written about `history`, with "Step 1:", "Step 2:" and "Step 3:" parts; empty: the
                writer writes that first.

        Returns:
            One JSON object: `old_rationale`; `new`, what `recommend` returns for the changed history (its `status` is
            "waiting" while the old text is being written); and `bump`, null until there is a new list: the products of
            both lists with their `ranks` before and after in the whole catalogue (null: it was bought).
        """
        with as_gradio_errors():
            place, chosen, before, reasoner, old = _inputs(services, history, domain, ranker, writer, rationale)
            after = parse_history(changed, place.catalog)
            with closing(ask((before, old), after, place, reasoner, chosen, services.encoder, k)) as moments:
                for moment in moments:
                    yield moment.as_dict()
            if moment.state.status == "failed" and not moment.state.rationale.text:
                raise SlimError(moment.state.error)  # with text, the answer is that text, marked failed

    def purchases_that_matter(
        history: list[str] | str, domain: str = first, ranker: str = services.ranker, k: int = 10, writer: str = "",
        rationale: str = "", vary: Literal["purchases", "order"] = "purchases", orders: int = 5, seed: int = 0,
    ) -> Iterator[dict[str, Any]]:  # fmt: skip
        """Find out which purchase matters most for a ranked list, or how much their order matters.

        Each purchase is left out in turn (or they are put in other orders); each time the model writes and ranks again.

        Args:
            history: Purchases, oldest first: a JSON list of titles or ids, or text with one of them a line.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: What ranks the catalogue, as in `recommend`.
            k: How many products of the list, 1 to 100.
            writer: Who writes, as in `recommend`; empty for the default.
            rationale: What was written about `history`, as in `what_if`; empty: the writer writes that first.
            vary: "purchases" leaves out each in turn, "order" takes all in other orders.
            orders: How many other orders, 1 to 20.
            seed: Of the orders; the same seed gives the same ones.

        Returns:
            One JSON object, whole in every state: `done` of `total`, and `effects`, strongest first. Each has the
            `label` of what was varied, how many products `left` the first k, `lost` (1 minus NDCG of the new list with
            the old one as relevant: 0 = the same products lead) and `shifts`, each product's rank before and after.
        """
        with as_gradio_errors():
            place, chosen, bought, reasoner, base = _inputs(services, history, domain, ranker, writer, rationale)
            inputs = (bought, base, place, reasoner, chosen, services.encoder, k)
            if vary not in ("purchases", "order"):
                raise SlimError(f"What is varied is “purchases” or “order”, not “{str(vary)[:20]}”.")
            states = leave_one_out(*inputs) if vary == "purchases" else order_shuffle(*inputs, orders, seed)
            with closing(states):
                for state in states:
                    yield state.as_dict()
            if state.status == "failed" and not state.effects:
                raise SlimError(state.error)

    def faithfulness(
        rationale: str, history: list[str] | str, domain: str = first, ranker: str = DEFAULT_RANKER, k: int = 10
    ) -> dict[str, Any]:
        """Test how faithful the explanation of a ranked list is, by exact re-scoring; no language model takes part.

        Args:
            rationale: Text with "Step 1:", "Step 2:" and "Step 3:" parts; empty for a ranker that reads none.
            history: Purchases, oldest first: a JSON list of titles or ids, or text with one of them a line.
            domain: Which catalogue to rank; `domains` lists them.
            ranker: What ranks the catalogue, as in `recommend`.
            k: How many products, 1 to 100.

        Returns:
            One JSON object: `PN`, the share of products that leave the list without their evidence; `PS`, the share
            that stay by it alone; `F`, their harmonic mean; and each product's rank, `rank_without` and `rank_only`.
        """
        with as_gradio_errors():
            place = services.domain(domain)
            chosen = choose_ranker(ranker, place)
            bought = parse_history(history, place.catalog)
            told = _told(rationale, chosen) or Rationale()
            if chosen.uses_rationale and not any(told.segments()):
                raise SlimError("The rationale is empty. Give the text whose list is to be tested.")
            listed = rank(bought, told, place, services.encoder, chosen, k)
            return test(listed, bought, told, place, chosen, services.encoder).as_dict()

    gr.api(what_if, api_name="what_if", concurrency_limit=services.slots, concurrency_id="reasoner")
    gr.api(
        purchases_that_matter, api_name="purchases_that_matter", concurrency_limit=services.slots,
        concurrency_id="reasoner",
    )  # fmt: skip
    gr.api(faithfulness, api_name="faithfulness", concurrency_limit=4)


def _inputs(services: Services, history, domain: str, ranker: str, writer: str, rationale: str):
    """(domain, ranker, purchases, writer or None, given rationale or None)."""
    place = services.domain(domain)
    chosen = choose_ranker(ranker, place)
    items: list[Item] = parse_history(history, place.catalog)
    reasoner = services.reasoner(writer or services.default_writer, domain) if chosen.uses_rationale else None
    return place, chosen, items, reasoner, _told(rationale, chosen)


def _told(text: str, ranker) -> Rationale | None:
    """A given text; None where there is none.

    Raises:
        SlimError: no text, too long, without the three steps, or for a ranker that reads none.
    """
    check_rationale(text)
    if not text.strip():
        return None
    if not ranker.uses_rationale:
        raise SlimError(f"The ranker “{ranker.name}” reads no rationale. Choose another one, or leave the text out.")
    found = parse(text)
    if not any(found.segments()):
        raise SlimError("The rationale holds none of the three steps. Mark its parts with “Step 1:” and so on.")
    return found
