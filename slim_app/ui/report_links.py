"""Report card and permalink of the result below which they stand; both are made when they are asked for."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import gradio as gr

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.permalink import PARAMETER
from slim_app.rationale_edits import Edits
from slim_app.report import file_name, to_html, to_json
from slim_app.report_card import NOTHING, card_of, link_of, weighed_by_hand
from slim_app.schema import State
from slim_app.services import Services
from slim_app.steering import Steered
from slim_app.ui import render, words
from slim_app.ui import words_report as said
from slim_app.ui.desks import Desk, Desks
from slim_app.ui.escape import esc
from slim_app.versions import Digests

log = logging.getLogger(__name__)
FORMS: dict[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "html": ("text/html", to_html),
    "json": ("application/json", to_json),
}
"""act → media type and writer of the file."""
MAX_ADDRESS = 300
DELIVER = """(text) => {
  if (!text) return '';
  const made = JSON.parse(text);
  const answer = () => document.querySelector('#' + made.box + ' .answer');
  const show = async (tries) => {
    const there = answer();
    if (!there || made.link && !there.querySelector('input')) { if (tries) setTimeout(show, 30, tries - 1); return; }
    there.hidden = false;
    const list = document.querySelector('#' + made.list);
    new MutationObserver((_, seen) => { there.hidden = true; seen.disconnect(); }).observe(list,
      { childList: true, subtree: true, characterData: true });
    if (!made.link) return;
    const box = there.querySelector('input');
    box.value = location.href;
    let said = made.copied;
    try { await navigator.clipboard.writeText(box.value); }
    catch { said = made.by_hand; box.focus(); box.select(); }
    there.querySelector('[role=status]').textContent = said;
  };
  if (made.text) {
    const url = URL.createObjectURL(new Blob([made.text], { type: made.mime + ';charset=utf-8' }));
    const a = Object.assign(document.createElement('a'), { href: url, download: made.name });
    document.body.append(a); a.click(); a.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
    return '';
  }
  if (made.link) {
    const address = new URL(location.href);
    address.searchParams.set(made.parameter, made.link);
    history.replaceState(history.state, '', address);
  }
  show(100);
  return '';
}"""
"""A file is saved; a link goes to address bar, clipboard and field. The answer is hidden when the list has changed."""
FORGET = f"""() => {{
  const address = new URL(location.href);
  if (!address.searchParams.has('{PARAMETER}')) return;
  address.searchParams.delete('{PARAMETER}');
  history.replaceState(history.state, '', address);
}}"""
"""A new run is not what the address says any more."""


class ReportBar:
    """The links below a list, shown with it (`links.css`). Laid out where it is made; `link`: with a permalink.

    Nothing is made before it is asked for, so the list never waits for it.
    """

    def __init__(self, panel: Any, clicks: str, elem_id: str, below: str, link: bool = True) -> None:
        """`below`: id of the part that holds the list."""
        self.elem_id, self.below = elem_id, below
        kinds = [("html", said.REPORT_HTML, said.REPORT_HELP), ("json", said.REPORT_JSON, said.REPORT_HELP)]
        kinds += [("link", said.COPY_LINK, said.LINK_HELP)] if link else []
        buttons = "".join(
            f'<button type="button" class="link" data-act="{act}" title="{title}">{label}</button>'
            for act, label, title in kinds
        )
        group = f'<div class="row-end report-links" role="group" aria-label="{said.GROUP}">{buttons}</div>'
        self.links = panel(group, elem_id, clicks)
        self.note = panel("", f"{elem_id}-note")
        self.file = gr.Textbox(visible="hidden", label=elem_id)

    def answer(self, act: str, make: Callable[[str], dict[str, Any]]) -> dict[Any, Any]:
        """Component → value after a click: what `make(act)` made, or a sentence why it could not."""
        made: dict[str, Any] = {"box": self.note.elem_id, "list": self.below}
        try:
            made |= make(act)
            note = made.pop("note", "")
        except SlimError as error:
            note = render.error(error)
        except Exception:
            log.exception("report or link")
            note = render.error(words.FAULT)
        if "link" in made:
            note += _field()
            made |= {"copied": said.COPIED, "by_hand": said.BY_HAND, "parameter": PARAMETER}
        return {self.note: f'<div class="answer">{note}</div>' if note else "", self.file: json.dumps(made)}


@dataclass(frozen=True)
class Shown:
    """What the explain tab shows, from its states."""

    state: State | None = None
    """The result, under its edits."""
    own: Domain | None = None
    made: Digests | None = None
    """The digests of the link that the page came from; None where it came from none."""
    written: State | None = None
    """The run as it ended, of which `edits` are edits."""
    edits: Edits | None = None
    steered: Steered | None = None

    @property
    def run(self) -> State | None:
        """The run to report: as written, where edits stand beside it."""
        return self.written if self.edits is not None and self.edits.edited and self.written else self.state


def of_run(
    services: Services, desks: Desks, page: Shown, session: str | None, address: str, act: str
) -> dict[str, Any]:
    """What the browser gets for one click below a run's list.

    Args:
        act: `html`, `json` or `link`.

    Raises:
        SlimError: nothing to report or to link; says why.
    """
    state, edits = page.run, page.edits
    if state is None or page.state is None:
        raise SlimError(NOTHING)
    domain, made = services.domain(state.domain, page.own), page.made if state.model.kind == "link" else None
    if act == "link":
        left_out = f'<p class="notice">{said.WEIGHT_LEFT_OUT}</p>' if weighed_by_hand(page.state, domain) else ""
        return {"link": link_of(services, state, edits, made), "note": left_out}
    steered = page.steered if page.steered and edits and page.steered.parts == edits.now else None
    desk = desks.of(session)
    same = desk is not None and desk.domain is domain and desk.history == state.history
    compared = _finished(desk) if desk is not None and same else None
    card = card_of(
        services, state, domain, edits=edits, steered=steered, made=made, comparison=compared, address=address
    )
    return _file(card, act)


def of_comparison(services: Services, desk: Desk | None, address: str, act: str) -> dict[str, Any]:
    """The report of a comparison; its list is that of the first side that wrote something.

    Raises:
        SlimError: there is no finished comparison, or no side wrote anything.
    """
    compared, state = _finished(desk) if desk else None, desk.shown if desk else None
    if desk is None or state is None or state.comparison is None or compared is None:
        raise SlimError(NOTHING)
    found = next((n for n, side in enumerate(state.sides) if any(side.rationale.segments())), None)
    if found is None:
        raise SlimError(NOTHING)
    side = state.sides[found]
    run = State(
        "done" if side.status == "finished" else side.status, side.rationale, state.comparison.sides[found].top,
        desk.marks.get(side.key, ()), side.stats, side.model, error=side.error, domain=desk.domain.name,
        ranker=desk.ranker, history=desk.history, writer=side.writer,
    )  # fmt: skip
    return _file(card_of(services, run, desk.domain, comparison=compared, address=address), act)


def address_of(request: gr.Request | None) -> str:
    """Where the visitor's page lives, as the browser says; empty where it does not."""
    parts = urlsplit(str((request.headers if request else {}).get("referer") or ""))
    address = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return address if parts.scheme in ("http", "https") and len(address) <= MAX_ADDRESS else ""


def _finished(desk: Desk) -> dict[str, Any] | None:
    """The comparison as it may leave the server; None while it runs."""
    state = desk.shown
    return state.as_dict() if state and state.comparison else None


def _file(card: Mapping[str, Any], act: str) -> dict[str, Any]:
    if act not in FORMS:
        raise SlimError(f"A report is a file of the form html or json, not “{act[:20]}”.")
    mime, write = FORMS[act]
    return {"name": file_name(card, act), "mime": mime, "text": write(card)}


def _field() -> str:
    label = esc(said.LINK_LABEL)
    return (
        f'<label><span class="fine">{label}</span><input type="text" readonly value="" spellcheck="false"></label>'
        '<p class="fine" role="status"></p>'
    )
