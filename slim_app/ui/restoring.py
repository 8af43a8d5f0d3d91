"""A page from a link: the state is decoded, looked up and ranked; no language model takes part."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from slim_app.errors import SlimError
from slim_app.permalink import Link, from_query, restore
from slim_app.pipeline import explain, rank_rationale
from slim_app.rationale_edits import Edits
from slim_app.reasoners.binding import can_bind
from slim_app.recommenders.rank import check_k
from slim_app.recommenders.rankers import choose_ranker, default_for, rankers_of
from slim_app.report_card import digests_of
from slim_app.schema import Item, ModelInfo, State
from slim_app.services import Services
from slim_app.ui import words
from slim_app.ui import words_report as said
from slim_app.versions import Digests

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Restored:
    """What a link brings back."""

    domain: str
    history: list[Item]
    ranker: str
    k: int
    writer: str | None
    """None: the link's is not here, so the choice stays as it is."""
    bound: bool
    state: State | None
    """None where there is nothing to show before a run."""
    edits: Edits | None
    made: Digests
    """Of the day on which the link was made."""
    notices: tuple[str, ...]
    """Sentences: that it came from a link, and what has changed since."""


def restored(services: Services, parameters: Mapping[str, str]) -> Restored | None:
    """The state that a page's query parameters ask for; None where they ask for none.

    Raises:
        SlimError: a broken or hostile link, or a catalogue that is not here; the message is safe to show.
    """
    try:
        link = from_query(parameters)
        return None if link is None else _restored(services, link)
    except SlimError:
        raise
    except Exception as error:
        log.exception("restoring a link")
        raise SlimError(words.FAULT) from error


def _restored(services: Services, link: Link) -> Restored:
    if link.domain not in services.domains:
        raise SlimError(said.NOT_HERE.format(name=link.domain))
    domain, k = services.domain(link.domain), check_k(link.k)
    name = default_for(domain, link.ranker)
    ranker = choose_ranker(name, domain)
    reads = ranker.uses_rationale
    notices = [] if link.ranker in rankers_of(domain) else [said.RANKER_CHANGED.format(ranker=link.ranker)]
    writer, reasoner = _writer(services, link)
    if reasoner is None and link.writer:
        notices.append(said.WRITER_CHANGED.format(writer=words.WRITERS.get(link.writer, link.writer)))
    bound = link.bound and can_bind(reasoner)
    if link.bound and reasoner is not None and not bound:
        notices.append(said.UNBOUND)
    info = replace(reasoner.info, bound=bound) if reasoner else ModelInfo("none", kind="none")
    now = digests_of(services, State("done", model=info, ranker=name, writer=writer or ""), domain)
    if name != link.ranker:
        now = replace(now, ranker="")  # said already
    history, changed = restore(link, domain.catalog, now)
    state, edits = None, None
    if history and reads and link.rationale:
        state = rank_rationale(link.rationale, history, domain, ranker, services.encoder, k, link.cut)
        state, edits = replace(state, model=_from_link(link), writer=link.writer), link.edited()
    elif history and not reads:
        *_, state = explain(history, domain, None, ranker, services.encoder, k)
    first = said.RESTORED_INPUT if state is None else said.RESTORED if reads else said.RESTORED_LIST
    return Restored(
        domain.name, history, name, k, writer, bound, state, edits, link.digests, (first, *notices, *changed)
    )


def _writer(services: Services, link: Link):
    """The link's writer, if it is here: (id, reasoner), else (None, None)."""
    try:
        return link.writer, services.reasoner(link.writer, link.domain)
    except SlimError:
        return None, None


def _from_link(link: Link) -> ModelInfo:
    """Who a link says wrote its text. Anybody can make a link, so nothing more is claimed."""
    writer = words.WRITERS.get(link.writer, link.writer or "?")
    note = said.FROM_LINK_NOTE.format(writer=writer) + (said.FROM_LINK_BOUND if link.bound else "")
    return ModelInfo(said.FROM_LINK, kind="link", note=note, bound=link.bound)
