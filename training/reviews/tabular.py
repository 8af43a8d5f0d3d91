"""Lines of tab-separated sources: RecBole's atomic files, and the plain pair of items.tsv and sequences.tsv."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from training.reviews.lines import BadLine
from training.reviews.rows import Meta, Row, described, identifier, milliseconds
from training.reviews.titles import brand, film, plain

SECOND = 1000


def recbole_rows(header: bytes) -> Callable[[bytes], Iterable[Row]]:
    """Reads `.inter` lines under this header; user_id, item_id and timestamp (seconds) may stand anywhere in it.

    Raises:
        BadLine: the header lacks one of them.
    """
    names = _names(header)
    user, item, time = (_column(names, name) for name in ("user_id", "item_id", "timestamp"))

    def parse(line: bytes) -> Iterable[Row]:
        cells = _cells(line, len(names))
        ids = identifier(cells[user], "user_id"), identifier(cells[item], "item_id")
        return ((*ids, milliseconds(cells[time], SECOND)),)

    return parse


def recbole_meta(header: bytes) -> Callable[[bytes], Meta]:
    """Reads `.item` lines; the title, brand and category columns go by several names among RecBole's datasets.

    Raises:
        BadLine: the header has no item_id.
    """
    names = _names(header)
    item = _column(names, "item_id")
    title, year, maker, kind = (
        next((names.index(name) for name in known if name in names), -1)
        for known in (
            ("title", "movie_title", "item_name", "name"),
            ("release_year",),
            ("brand", "store"),
            ("class", "genre", "genres", "categories", "category"),
        )
    )

    def parse(line: bytes) -> Meta:
        cells = [*_cells(line, len(names)), ""]  # a column that is missing has the index -1
        text = film(cells[title], cells[year]) if title >= 0 and names[title] == "movie_title" else cells[title]
        listed = plain(cells[kind]).strip("[]")
        entries = listed.split(",") if "," in listed else [listed] if "'" in listed[:1] else listed.split()
        category = ", ".join(filter(None, (entry.strip(" '\"") for entry in entries)))
        return described(identifier(cells[item], "item_id"), text, brand(cells[maker]), category)

    return parse


def tsv_rows(header: bytes) -> Callable[[bytes], Iterable[Row]]:
    """Reads `sequences.tsv`: one user a line with item ids, oldest first; the order stands for the time.

    Raises:
        BadLine: the header lacks user_id or item_ids.
    """
    names = _names(header)
    user, items = _column(names, "user_id"), _column(names, "item_ids")

    def parse(line: bytes) -> Iterable[Row]:
        cells = _cells(line, len(names))
        name = identifier(cells[user], "user_id")
        return [(name, identifier(item, "item id"), 0) for item in cells[items].split()]

    return parse


def tsv_meta(header: bytes) -> Callable[[bytes], Meta]:
    """Reads `items.tsv`: item_id and title, and brand and category where the header names them.

    Raises:
        BadLine: the header lacks item_id or title.
    """
    names = _names(header)
    item, title = _column(names, "item_id"), _column(names, "title")
    maker, kind = (names.index(name) if name in names else -1 for name in ("brand", "category"))

    def parse(line: bytes) -> Meta:
        cells = [*_cells(line, len(names)), ""]
        return described(identifier(cells[item], "item_id"), cells[title], plain(cells[maker]), plain(cells[kind]))

    return parse


def _names(header: bytes) -> list[str]:
    return [cell.split(":")[0].strip() for cell in _text(header).split("\t")]


def _column(names: Sequence[str], name: str) -> int:
    if name not in names:
        raise BadLine(f"there is no column {name} (but {', '.join(names)[:200]})")
    return names.index(name)


def _cells(line: bytes, columns: int) -> list[str]:
    cells = _text(line).split("\t")
    if len(cells) != columns:
        raise BadLine(f"not {columns} columns")
    return cells


def _text(line: bytes) -> str:
    try:
        return line.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise BadLine("not UTF-8") from None
