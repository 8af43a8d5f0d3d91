"""Reads the tables that people bring (CSV, JSONL): tolerant where it is safe, plain words where it is not."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.schema import Item

MAX_BYTES = 20 * 1024 * 1024
MAX_ROWS = 20_000
MAX_TITLE = 300
MAX_DESCRIPTION = 1_000
DELIMITERS = ",;\t|"

COLUMNS = {
    "title": ("title", "name", "product", "product_name", "product name", "product_title", "item", "item_name"),
    "id": ("id", "item_id", "product_id", "asin", "sku", "parent_asin"),
    "brand": ("brand", "manufacturer", "store", "maker"),
    "category": ("category", "categories", "main_category", "genre", "type"),
    "description": ("description", "details", "summary", "text"),
}
"""Our field → the column names that mean it, lower case, best first."""


@dataclass(frozen=True)
class Table:
    """Rows as our fields, and sentences about what was skipped or guessed."""

    rows: tuple[dict[str, str], ...]
    notices: tuple[str, ...]


def read_table(
    path: str | Path, name: str = "", *, needs: Sequence[str] = ("title",), max_bytes: int = MAX_BYTES
) -> Table:
    """Rows of a CSV (any of , ; tab |) or JSONL file with our field names.

    Args:
        name: what to call the file in messages; its own name when empty.
        needs: at least one of these fields must be a column.

    Raises:
        SlimError: too large, not UTF-8, no usable column, no usable row; each says which line and what to do.
    """
    path = Path(path)
    name = clean_title(name or path.name, 80)
    size = path.stat().st_size
    if size > max_bytes:
        raise SlimError(
            f"“{name}” has {size / 2**20:.0f} MB; the limit is {max_bytes // 2**20} MB. Upload a smaller part of it."
        )
    text = _decode(path.read_bytes(), name)
    if not text.strip():
        raise SlimError(f"“{name}” is empty. Upload a CSV or JSONL file with a “title” column.")
    as_json = path.suffix.lower() in {".jsonl", ".ndjson", ".json"} or text.lstrip()[0] in "{["
    raw, notices = _json_rows(text, name) if as_json else _csv_rows(text, name, needs)
    known = {column for names in (COLUMNS[field] for field in needs) for column in names}
    seen_columns = list(dict.fromkeys(key for _, row in raw[:1000] for key in row))
    if not known & {key.strip().casefold() for key in seen_columns}:
        shown = ", ".join(f"“{clean_title(key, 30)}”" for key in seen_columns[:8]) or "none"
        raise SlimError(
            f"“{name}” has no “{needs[0]}” column (columns found: {shown}). "
            f"Name the column with the product names “title” in the first line; separate columns with commas."
        )
    rows = [_fields(row) for _, row in raw]
    return Table(tuple(rows), tuple(notices))


def items_from(table: Table, name: str, max_rows: int = MAX_ROWS) -> tuple[list[Item], list[str]]:
    """Catalogue items of a table: rows without a title are skipped, of a repeated id the first is kept.

    Items without an id get their row number. Raises SlimError when nothing is left or there are too many rows.
    """
    if len(table.rows) > max_rows:
        raise SlimError(
            f"“{name}” has {len(table.rows):,} rows; the limit is {max_rows:,}. Upload a smaller part of it."
        )
    items: dict[str, Item] = {}
    notices = list(table.notices)
    untitled = repeated = 0
    first_repeat = ""
    for number, row in enumerate(table.rows, start=1):
        if not row.get("title"):
            untitled += 1
            continue
        item_id = row.get("id") or f"row-{number}"
        if item_id in items:
            repeated += 1
            first_repeat = first_repeat or item_id
            continue
        items[item_id] = Item(
            item_id, row["title"], row.get("brand", ""), row.get("category", ""), row.get("description", "")
        )
    if untitled:
        notices.append(f"{untitled:,} row{'s' if untitled > 1 else ''} without a title left out.")
    if repeated:
        notices.append(
            f"{repeated:,} row{'s repeat ids' if repeated > 1 else ' repeats an id'} (first: “{first_repeat}”); "
            "the first of each was kept."
        )
    if not items:
        raise SlimError(f"“{name}” has no row with a title. Fill the “title” column and upload it again.")
    return list(items.values()), notices


def _decode(data: bytes, name: str) -> str:
    for bom, encoding in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(bom):
            try:
                text = data.decode(encoding)
            except UnicodeDecodeError as error:
                if not bom and b"\0" in data:
                    break  # an image, a spreadsheet
                line = data[: error.start].count(b"\n") + 1
                raise SlimError(
                    f"“{name}” is not UTF-8 text (line {line}). Save it again as “CSV UTF-8” or UTF-8 JSONL."
                ) from None
            if "\0" in text:
                break
            return text
    raise SlimError(f"“{name}” is not a text file. Upload CSV or JSONL saved as UTF-8.")


def _json_rows(text: str, name: str) -> tuple[list[tuple[int, dict]], list[str]]:
    """JSONL, or one JSON list; strings count as titles."""
    rows: list[tuple[int, dict]] = []
    bad: list[int] = []
    stripped = text.lstrip()
    if stripped.startswith("["):
        try:
            values = list(enumerate(json.loads(text), start=1))
        except (ValueError, RecursionError):
            raise SlimError(
                f"“{name}” starts like a JSON list but does not end as one. Upload one JSON object a line."
            ) from None
    else:
        values = []
        for number, line in enumerate(text.split("\n"), start=1):  # JSON may hold other line separators as they are
            if line.strip():
                try:
                    values.append((number, json.loads(line)))
                except (ValueError, RecursionError):  # ValueError: broken, or a number of thousands of digits
                    bad.append(number)
    for number, value in values:
        if isinstance(value, dict):
            rows.append((number, value))
        elif isinstance(value, str):
            rows.append((number, {"title": value}))
        else:
            bad.append(number)
    if not rows:
        raise SlimError(f"“{name}” has no line that is a JSON object. Upload one object with a “title” a line.")
    if not bad:
        return rows, []
    which = f"{len(bad):,} lines that are not JSON objects" if len(bad) > 1 else "1 line that is not a JSON object"
    return rows, [f"{which} left out (first: line {min(bad)})."]


def _csv_rows(text: str, name: str, needs: Sequence[str]) -> tuple[list[tuple[int, dict]], list[str]]:
    header = text.lstrip("\n\r").splitlines()[0]
    delimiter = max(DELIMITERS, key=header.count)
    if not header.count(delimiter):
        delimiter = ","
    csv.field_size_limit(1 << 20)
    try:
        table = list(csv.reader(io.StringIO(text.lstrip("\n\r"), newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise SlimError(
            f"“{name}” could not be read as CSV ({error}). Check its quotation marks, or use JSONL."
        ) from None
    columns, body = [c.strip() for c in table[0]], table[1:]
    rows = [
        (number, dict(zip(columns, cells, strict=False)))
        for number, cells in enumerate(body, start=2)
        if any(map(str.strip, cells))
    ]
    notices = []
    ragged = sum(len(cells) > len(columns) for cells in body)
    if ragged:
        which = f"{ragged:,} rows have" if ragged > 1 else "1 row has"
        notices.append(f"{which} more cells than the first line has names; the extra cells were left out.")
    if delimiter != "," and rows:
        notices.append(f"Read with “{'tab' if delimiter == chr(9) else delimiter}” between columns.")
    if not rows:
        rows = [(1, dict.fromkeys(columns, ""))]  # header only: let the column check speak first
    return rows, notices


def _fields(row: dict) -> dict[str, str]:
    lower = {str(key).strip().casefold(): value for key, value in row.items()}
    fields: dict[str, str] = {}
    for field, names in COLUMNS.items():
        for column in names:
            value = _plain(lower.get(column))
            if value:
                fields[field] = clean_title(value, MAX_DESCRIPTION if field == "description" else MAX_TITLE)
                break
    return fields


def _plain(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value)) if all(isinstance(v, str) for v in value) else ""
    return "" if value is None or isinstance(value, (dict, bool)) else str(value)
