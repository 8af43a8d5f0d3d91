"""Editing the purchase history: search, add, reorder, paste, upload; returns {component name: value}."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.history import MAX_PURCHASES, history_from_table, match_lines
from slim_app.prompts import clean_title
from slim_app.schema import Item, State
from slim_app.services import Services
from slim_app.tables import read_table
from slim_app.ui import render, words
from slim_app.ui.escape import esc

log = logging.getLogger(__name__)
Update = dict[str, Any]


class HistoryEditor:
    """Bound to one running app; the history itself lives in the visitor's page."""

    def __init__(self, services: Services) -> None:
        self.services = services

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

    def add(
        self, history: list[Item], name: str, own: Domain | None, result: State | None, typed: str, action: dict
    ) -> Update:
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

    def submit_search(
        self, history: list[Item], name: str, own: Domain | None, result: State | None, typed: str
    ) -> Update:
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
            return {"message": render.error(error)}

    def upload_history(
        self, history: list[Item], name: str, own: Domain | None, result: State | None, file: str | None
    ) -> Update:
        """Purchases from a CSV or JSONL file are added to the history."""
        if not file:
            return {}
        try:
            table = read_table(file, needs=("title", "id"))
            if not self._has(name, own):
                raise SlimError("Upload your catalogue first; the purchases are looked up in it.")
            return self._added(
                history_from_table(table, self.services.domain(name, own).catalog), history, name, result, table.notices
            )
        except SlimError as error:
            return {"message": render.error(error)}
        except Exception:
            log.exception("history upload")
            return {"message": render.error(words.FAULT)}

    def _added(
        self, new: Sequence[Item], history: list[Item], name: str, result: State | None, notices: Sequence[str] = ()
    ) -> Update:
        items = [*history, *new]
        if len(items) > MAX_PURCHASES:
            return {"message": render.error(words.TOO_MANY.format(most=MAX_PURCHASES, count=len(items)))}
        free = sum(not item.id for item in new)
        if len(new) > 1:
            notices = [words.ADDED.format(count=len(new), free=free), *notices]
        update = self._edited(items, name, result)
        return update | {"message": update["message"] + "".join(f'<p class="notice">{esc(n)}</p>' for n in notices)}

    def _edited(self, items: list[Item], name: str, result: State | None) -> Update:
        stale = f'<p class="notice">{words.STALE}</p>' if result else ""
        return {
            "history": items,
            "history_view": render.history(items),
            "chips": render.chips(self.services.samples(name), None),
            "message": stale,
        }

    def _has(self, name: str, own: Domain | None) -> bool:
        return name in self.services.domains or (own is not None and name == own.name)


def _row(value: object, items: Sequence[Item]) -> int | None:
    try:
        row = int(str(value))
    except ValueError:
        return None
    return row if 0 <= row < len(items) else None
