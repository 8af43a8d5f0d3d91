"""A finished run as a link and as a report card: what both need besides the run itself is gathered here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.faithfulness import Faithfulness, faithfulness
from slim_app.permalink import PARAMETER, Link, edit_rows, encode
from slim_app.rationale import parse
from slim_app.rationale_edits import Edits
from slim_app.recommenders.rankers import choose_ranker
from slim_app.report import report
from slim_app.schema import State
from slim_app.services import Services
from slim_app.steering import Steered, steer
from slim_app.versions import Digests, digests

NOT_LINKED = (
    "A link cannot hold a catalogue that you brought: it lives on this page only. Download the report instead, or put "
    "the catalogue among the app’s own."
)
NOTHING = "There is no finished run yet. Run the model first."


K = 10
"""Length of the list where none was ranked: of a run that was stopped early."""


def digests_of(services: Services, state: State, domain: Domain, made: Digests | None = None) -> Digests:
    """Of who wrote a run and of what ranked it; no model's where none took part, and none of a writer kept secret.

    Args:
        made: the digests of the link that its text came from; what ranked it did so here and now.
    """
    reasoner = services.reasoners.get(state.writer)
    adapter = getattr(getattr(reasoner, "engine", None), "adapter", None) if state.model.adapter else None
    file = adapter if isinstance(adapter, Path) else None
    found = digests(state.model, domain, services.encoder, state.ranker, file)
    if made is not None:
        return replace(found, model=made.model, prompt=made.prompt)
    if state.model.kind in ("none", "hidden"):
        return replace(found, model="", prompt="")
    return found


def link_of(services: Services, state: State, edits: Edits | None = None, made: Digests | None = None) -> str:
    """The permalink's parameter for a finished run.

    Args:
        edits: of its rationale; those of another text are left out.
        made: the digests of the link that the run itself came from.

    Raises:
        SlimError: the catalogue is a visitor's own, or the state is too large for a link.
    """
    if state.domain not in services.domains:
        raise SlimError(NOT_LINKED)
    edits = own_edits(state, edits)
    return encode(
        Link(
            domain=state.domain, history=state.history, ranker=state.ranker, k=len(state.recommendations) or K,
            writer=state.writer, rationale=state.rationale.text, edits=edit_rows(edits) if edits else (),
            digests=digests_of(services, state, services.domain(state.domain), made), bound=state.model.bound,
            cut=not state.rationale.complete and parse(state.rationale.text).complete,
        )
    )  # fmt: skip


def card_of(
    services: Services,
    state: State,
    domain: Domain,
    *,
    edits: Edits | None = None,
    steered: Steered | None = None,
    made: Digests | None = None,
    comparison: Mapping[str, Any] | None = None,
    address: str = "",
) -> dict[str, Any]:
    """The report of a finished run (`report.SCHEMA`), with its link where it can have one.

    Args:
        edits, made: as in `link_of`.
        steered: the list under these edits, where it is there already; else it is ranked now.
        comparison: as in `report.report`.
        address: of the page, before the link's `?`.

    Raises:
        SlimError: nothing was written and nothing ranked, or everything is struck out.
    """
    if not state.recommendations and not state.rationale.text:
        raise SlimError(NOTHING)
    ranker, edits = choose_ranker(state.ranker, domain), own_edits(state, edits)
    k = len(state.recommendations) or K
    if edits is None or not edits.edited:
        steered = None
    elif steered is None or not steered.done:
        *_, steered = steer(edits, state.history, domain, ranker, services.encoder, k)
    try:
        link = f"{address}?{PARAMETER}={link_of(services, state, edits, made)}"
    except SlimError:  # a visitor's catalogue, or a history too long for a link: the report holds it all the same
        link = ""
    return report(
        state, state.history, domain, k, digests=digests_of(services, state, domain, made), steered=steered,
        faithful=_faithful(services, state, domain), comparison=comparison, link=link,
    )  # fmt: skip


def own_edits(state: State, edits: Edits | None) -> Edits | None:
    """Edits that began with this very text; None for those of another."""
    written = tuple((s.key, s.text) for s in state.rationale.segments())
    return edits if edits and written == tuple((part.key, part.original) for part in edits.start) else None


def weighed_by_hand(state: State, domain: Domain) -> bool:
    """Whether a fused list was moved away from the learned weight, which neither link nor re-scoring knows."""
    return state.ranker == "fused" and state.ranker_notes != choose_ranker("fused", domain).notes(state.history)


def _faithful(services: Services, state: State, domain: Domain) -> Faithfulness | None:
    """PN, PS and F of the list; None where no product has evidence, or the list was weighed by hand."""
    if weighed_by_hand(state, domain) or not any(r.evidence for r in state.recommendations):
        return None
    ranker = choose_ranker(state.ranker, domain)
    return faithfulness(state.recommendations, state.history, state.rationale, domain, ranker, services.encoder)
