"""Text files line by line, packed (.gz) or not, with the place of each line for messages: JSONL and TSV."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError


def read_jsonl(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of each line that is not blank.

    Raises:
        SlimError: no such file, not UTF-8, or a line that is not a JSON object, with its place.
    """
    for place, line in _lines(file):
        try:
            record = json.loads(line)
        except ValueError:
            raise SlimError(f"{place}: not valid JSON, perhaps cut off. Repair or remove the line.") from None
        if not isinstance(record, dict):
            raise SlimError(f"{place}: not a JSON object. Repair or remove the line.")
        yield place, record


def read_tsv(file: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """(place, column name → value) of each row; the first line names the columns, at least two.

    Raises:
        SlimError: no such file, not UTF-8, or a row with fewer or more columns, with its place.
    """
    names: list[str] = []
    for place, line in _lines(file):
        cells = line.split("\t")
        names = names or cells
        if len(cells) != len(names) or len(names) < 2:
            raise SlimError(f"{place}: {len(cells)} columns where {max(2, len(names))} are needed. Repair the line.")
        if cells is not names:
            yield place, dict(zip(names, cells, strict=True))


def _lines(file: Path) -> Iterator[tuple[str, str]]:
    try:
        open_text = gzip.open if file.suffix == ".gz" else open
        with open_text(file, "rt", encoding="utf-8", newline="\n") as stream:
            yield from ((f"{file}, line {n}", line.rstrip("\r\n")) for n, line in enumerate(stream, 1) if line.strip())
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise SlimError(f"Cannot read {file} as UTF-8 text ({error}). Check the path, and that it is whole.") from None
