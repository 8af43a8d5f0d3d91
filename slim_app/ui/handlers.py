"""What the explain tab does when something is clicked. No layout here; every handler returns {component name: value}."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from slim_app.domain import Domain, build_domain
from slim_app.errors import SlimError
from slim_app.history import MAX_PURCHASES, history_from_table, match_lines
from slim_app.pipeline import explain
from slim_app.prompts import clean_title
from slim_app.recommenders.text_match import get_ranker
from slim_app.schema import Item, ModelInfo, Shopper, State
from slim_app.services import Services
from slim_app.tables import items_from, read_table
from slim_app.ui import render, words
from slim_app.ui.escape import bdi, esc
from slim_app.ui.signs import StopSigns

log = logging.getLogger(__name__)
OWN = "own"
SHOWN_SAMPLES = 3
Update = dict[str, Any]
FAULT = "Something went wrong on our side; the details are in the app's log. Run it again, or reload the page."


class Handlers:
    """Bound to one running app; holds nothing of any visitor (that lives in the page's states)."""

    def __init__(self, services: Services, signs: StopSigns) -> None:
        self.services = services
        self.signs = signs

    # -- choosing a domain and a sample ---------------------------------------------------------------

    def samples(self, name: str) -> tuple[Shopper, ...]:
        return self.services.domains[name].shoppers if name in self.services.domains else ()

    def pick_domain(self, name: str, own: Domain | None) -> Update:
        """Another catalogue: its first sample, or an empty history for the visitor's own."""
        shoppers = self.samples(name)
        return {**self._with_sample(name, shoppers[0] if shoppers else None), **self._cleared()}

    def pick_sample(self, name: str, shopper_id: str) -> Update:
        """A sample shopper's purchases replace the history."""
        found = [s for s in self.samples(name) if s.shopper_id == shopper_id]
        return {**self._with_sample(name, found[0] if found else None), **self._cleared()} if found else {}

    def _with_sample(self, name: str, shopper: Shopper | None) -> Update:
        items = self.services.domain(name).history(shopper) if shopper else []
        return {
            "history": items,
            "history_view": render.history(items),
            "chips": render_chips(self.samples(name), shopper),
        }

    def _cleared(self) -> Update:
        return {
            "result": None,
            "reasoning": render.reasoning(None),
            "ranking": render.ranking(None),
            "message": "",
            "search": "",
            "hits": "",
        }

    # -- editing the history --------------------------------------------------------------------------

    def edit(self, history: list[Item], name: str, result: State | None, action: dict) -> Update:
        """up, down, move, remove or clear, as the history list asks."""
        act, items = action.get("act"), list(history)
        if act == "clear":
            items = []
        else:
            row = _row(action.get("row"), items)
            if row is None:
                return {}
            item = items.pop(row)
            if act in ("up", "down", "move"):
                to = {"up": row - 1, "down": row + 1}.get(act, _row(action.get("to"), history))
                items.insert(max(0, min(len(items), row if to is None else to)), item)
        return self._edited(items, name, result)

    def add(self, history: list[Item], name: str, own: Domain | None, result: State | None, typed: str, action: dict) -> Update:
        """A search result, or the typed words as they are, becomes the newest purchase."""
        catalog = self.services.domain(name, own).catalog if self._has(name, own) else None
        if action.get("act") == "add" and catalog and action.get("id") in catalog.row_of_id:
            item = catalog.items[catalog.row_of_id[action["id"]]]
        else:
            title = clean_title(typed, 300)
            if not title:
                return {}
            item = Item("", title)
        return self._added([item], history, name, result) | {"search": "", "hits": ""}

    def submit_search(self, history: list[Item], name: str, own: Domain | None, result: State | None, typed: str) -> Update:
        """Enter in the search box: the best hit when it is a good one, else the words as they are."""
        if not typed.strip():
            return {}
        found = self.services.domain(name, own).catalog.search(typed, 1) if self._has(name, own) else []
        if found and found[0].score >= 75:
            item_id = self.services.domain(name, own).catalog.items[found[0].row].id
            return self.add(history, name, own, result, typed, {"act": "add", "id": item_id})
        return self.add(history, name, own, result, typed, {"act": "own"})

    def search(self, name: str, own: Domain | None, typed: str) -> str:
        """The list of hits below the search box."""
        if not self._has(name, own):
            return render.hits((), typed)
        catalog = self.services.domain(name, own).catalog
        return render.hits([catalog.items[hit.row] for hit in catalog.search(typed, 8)], typed)

    def paste(self, history: list[Item], name: str, own: Domain | None, result: State | None, text: str) -> Update:
        """Pasted lines, each matched with the catalogue; on an error the text stays in its box."""
        try:
            if self._has(name, own):
                items = match_lines(text.splitlines(), self.services.domain(name, own).catalog)
            else:
                items = [Item("", title) for line in text.splitlines() if (title := clean_title(line, 300))]
            if not items:
                raise SlimError("There are no lines to add. Paste one purchase a line, oldest first.")
            return self._added(items, history, name, result) | {"paste": ""}
        except SlimError as error:
            return {"message": error_html(error)}

    def upload_history(self, history: list[Item], name: str, own: Domain | None, result: State | None, file: str | None) -> Update:
        """Purchases from a CSV or JSONL file are added to the history."""
        if not file:
            return {}
        try:
            table = read_table(file, needs=("title", "id"))
            if not self._has(name, own):
                raise SlimError("Upload your catalogue first; the purchases are looked up in it.")
            return self._added(history_from_table(table, self.services.domain(name, own).catalog), history, name, result, table.notices)
        except SlimError as error:
            return {"message": error_html(error)}
        except Exception:
            log.exception("history upload")
            return {"message": error_html(FAULT)}

    def _added(self, new: Sequence[Item], history: list[Item], name: str, result: State | None, notices: Sequence[str] = ()) -> Update:
        items = [*history, *new]
        if len(items) > MAX_PURCHASES:
            text = f"A history holds at most {MAX_PURCHASES:,} purchases; this would make {len(items):,}. Remove some first."
            return {"message": error_html(SlimError(text))}
        free = sum(not item.id for item in new)
        if len(new) > 1:
            notices = [f"{len(new):,} purchases added, {free:,} of them in your own words.", *notices]
        update = self._edited(items, name, result)
        return update | {"message": update["message"] + "".join(f'<p class="notice">{esc(n)}</p>' for n in notices)}

    def _edited(self, items: list[Item], name: str, result: State | None) -> Update:
        stale = f'<p class="notice">{words.STALE}</p>' if result else ""
        return {
            "history": items,
            "history_view": render.history(items),
            "chips": render_chips(self.samples(name), None),
            "message": stale,
        }

    def _has(self, name: str, own: Domain | None) -> bool:
        return name in self.services.domains or (own is not None and name == own.name)

    # -- a visitor's own catalogue --------------------------------------------------------------------

    def upload_catalogue(self, file: str | None) -> Iterator[Update]:
        """Read and encode an uploaded catalogue with progress; it ends up in this visitor's state only."""
        if not file:
            return
        try:
            table = read_table(file)
            items, notices = items_from(table, clean_title(Path(file).name, 80))
            started = time.perf_counter()
            yield {"catalogue_view": progress_html(0, len(items), 0)}
            for step in build_domain(OWN, words.OWN_CATALOGUE, items, self.services.encoder):
                if isinstance(step, Domain):
                    lines = [words.CATALOGUE_READY.format(count=len(items)), *notices]
                    view = "".join(f'<p class="notice">{esc(line)}</p>' for line in lines)
                    yield {"own": step, "catalogue_view": view, "history": [], "history_view": render.history([]), **self._cleared()}
                else:
                    yield {"catalogue_view": progress_html(step, len(items), time.perf_counter() - started)}
        except SlimError as error:
            yield {"catalogue_view": error_html(error)}
        except Exception:
            log.exception("catalogue upload")
            yield {"catalogue_view": error_html(FAULT)}

    # -- explaining -----------------------------------------------------------------------------------

    def start(self, ranker: str) -> Update:
        """At once, before any waiting: the page shows that the click was heard."""
        waiting = State("reading", model=ModelInfo(words.WAITING, kind="none", note=""))
        return {"reasoning": render.waiting(waiting), "ranking": render.ranking(None), "message": "", "running": True}

    def run(
        self, history: list[Item], name: str, own: Domain | None, writer: str, ranker: str, k: int, session: str | None
    ) -> Iterator[Update]:
        """Stream the states of one run into the page."""
        sign = self.signs.begin(session)
        state: State | None = None
        ranked = None
        try:
            if name == OWN and own is None:
                raise SlimError("Upload your catalogue first: the products to rank come from it.")
            domain = self.services.domain(name, own)
            chosen = get_ranker(ranker)
            reasoner = self.services.reasoner(writer, name) if chosen.uses_rationale else None
            yield {"prompt": render.prompt(reasoner.prompt(history) if reasoner else "")}
            for state in explain(history, domain, reasoner, chosen, self.services.encoder, k, sign):
                update: Update = {"reasoning": render.reasoning(state)}
                if state.recommendations is not ranked:
                    ranked = state.recommendations
                    update["ranking"] = render.ranking(state)
                yield update
            assert state is not None
            note = self._held_out(history, name, state) + render.downloads(state)
            yield {"reasoning": render.reasoning(state), "ranking": render.ranking(state, note), "result": state, "running": False}
        except SlimError as error:
            yield {"reasoning": error_html(error) + render.reasoning(None), "ranking": render.ranking(None), "running": False}
        except Exception:
            log.exception("run")
            kept = render.reasoning(state) if state else render.reasoning(None)
            yield {"reasoning": error_html(FAULT) + kept, "running": False}
        finally:
            self.signs.end(session, sign)

    def _held_out(self, history: list[Item], name: str, state: State) -> str:
        """For an unchanged sample: where its real next purchase stands."""
        ids = tuple(item.id for item in history)
        for shopper in self.samples(name):
            if shopper.history == ids and shopper.next:
                domain = self.services.domains[name]
                title = domain.catalog.items[domain.catalog.row_of_id[shopper.next]].title
                rank = next((r.rank for r in state.recommendations if r.id == shopper.next), None)
                if rank:
                    text = words.HELD_OUT.format(title=bdi(title), rank=rank, total=len(domain.catalog))
                else:
                    text = words.HELD_OUT_BELOW.format(title=bdi(title), k=len(state.recommendations))
                return f'<p class="held-out">{text}</p>'
        return ""


def render_chips(shoppers: Sequence[Shopper], picked: Shopper | None) -> str:
    """The first samples as buttons; the picked one is marked."""
    shown = list(shoppers[:SHOWN_SAMPLES])
    if picked and picked not in shown:
        shown[-1:] = [picked]
    buttons = "".join(
        f'<button type="button" data-act="sample" data-id="{esc(s.shopper_id)}" aria-pressed="{str(s == picked).lower()}">{bdi(s.name)}</button>'
        for s in shown
    )
    return f'<div class="chips" role="group" aria-label="{words.SAMPLES_LABEL}">{buttons}</div>' if buttons else ""


def error_html(error: SlimError | str) -> str:
    return f'<p class="error" role="alert">{esc(error)}</p>'


def progress_html(done: int, total: int, seconds: float) -> str:
    """A progress bar with what is done and, after two seconds, what is left."""
    left = f" · about {seconds / done * (total - done):.0f} s left" if done and seconds > 2 else ""
    share = 100 * done / max(1, total)
    return (
        f'<p class="notice" role="status">{words.ENCODING.format(done=done, total=total)}{left}'
        f'<span class="progress"><span style="width:{share:.0f}%"></span></span></p>'
    )


def _row(value: object, items: Sequence[Item]) -> int | None:
    try:
        row = int(str(value))
    except ValueError:
        return None
    return row if 0 <= row < len(items) else None
