"""Purchase histories as people bring them: pasted lines, JSON lists, files → items, oldest first."""

from __future__ import annotations

import json
from collections.abc import Sequence

from slim_app.catalog import Catalog
from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.schema import MAX_HISTORY, Item
from slim_app.tables import Table

MAX_PURCHASES = 1_000
"""More is refused with a message: the model reads the newest 20, and the others only serve as a filter."""


def match_lines(lines: Sequence[object], catalog: Catalog) -> list[Item]:
    """Each line as the catalogue's item, or as a free-text item where nothing fits; empty lines are skipped.

    Typing errors are looked for in the newest `MAX_HISTORY` lines only, the ones that are read.

    Raises:
        SlimError: too many lines, or a line that is not text.
    """
    for line in lines:
        if not isinstance(line, (str, int)) or isinstance(line, bool):
            raise SlimError("A purchase is a title or an id in quotation marks; the history holds something else.")
    cleaned = [text for line in lines if (text := clean_title(str(line), 300))]
    if len(cleaned) > MAX_PURCHASES:
        raise SlimError(
            f"That is {len(cleaned):,} purchases; at most {MAX_PURCHASES:,} fit. "
            f"Keep the newest {MAX_PURCHASES:,} (the model reads the newest {MAX_HISTORY})."
        )
    old = len(cleaned) - MAX_HISTORY
    return [catalog.match(text, fuzzy=number >= old) for number, text in enumerate(cleaned)]


def parse_history(history: str | Sequence[object], catalog: Catalog) -> list[Item]:
    """The API's `history`: a list, a JSON list in a string, or one purchase a line; titles or ids.

    Raises:
        SlimError: empty, too long, or neither of these forms.
    """
    lines: Sequence[object]
    if isinstance(history, str):
        lines = history.splitlines()
        if history.lstrip().startswith("["):
            try:
                value = json.loads(history)
            except (ValueError, RecursionError):
                value = None  # a title may begin with "[": then it is a line
            if isinstance(value, list):
                lines = value
    elif isinstance(history, (list, tuple)):
        lines = history
    else:
        raise SlimError("The history must be a list of titles or ids, or text with one of them a line.")
    items = match_lines(lines, catalog)
    if not items:
        raise SlimError("The purchase history is empty. Give at least one title or id.")
    return items


def history_from_table(table: Table, catalog: Catalog) -> list[Item]:
    """Purchases of an uploaded file, by id where it is known, else by title."""
    lines = []
    for row in table.rows:
        known_id = row.get("id", "") in catalog.row_of_id
        lines.append(row["id"] if known_id else row.get("title") or row.get("id", ""))
    items = match_lines(lines, catalog)
    if not items:
        raise SlimError("The file holds no purchases. Give it a “title” or an “id” column with one purchase a line.")
    return items
