"""Files → tables of the working file: `reviews` (one row an interaction) and `meta` (one row an item description)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from slim_app.errors import SlimError
from training.reviews.lines import BadLine, Broken, Lines
from training.reviews.sources import Source
from training.reviews.working_file import Work

ROWS = 200_000
"""Rows that go to DuckDB together; fewer than a row group (122,880) would be stored twice."""
NULL = "\x01"
"""A text that no cleaned value can be: without it, empty cells would come out as NULL."""


def ingest_reviews(work: Work, source: Source, limit: int | None, most_broken: float) -> dict[str, Any]:
    """Fills `reviews` (seq, name, item, time); `seq` is the order in the file, which decides ties in time.

    Raises:
        SlimError: an unreadable file, or more broken lines than the share `most_broken`.
    """
    count = 0
    empty = Broken(source.reviews)

    def rows(number: int, line: bytes, parse: Callable[[bytes], Iterable]) -> Iterator[str]:
        nonlocal count
        found = parse(line)
        for user, item, time in found:
            count += 1
            yield f"{count}\t{user}\t{item}\t{time}\n"
        if not found:
            empty.add("user without history", number)

    table = _Table(work, "reviews", {"seq": "BIGINT", "name": "VARCHAR", "item": "VARCHAR", "time": "BIGINT"})
    info = _fill(table, source.reviews, "reviews", source, rows, limit, most_broken)
    if not count:
        raise SlimError(f"{source.reviews} holds no interaction. Check --reviews.")
    return info | {"rows": count, "empty": empty.as_dict()}


def ingest_meta(work: Work, source: Source, most_broken: float) -> dict[str, Any]:
    """Fills `meta` (line, item, title, brand, category, why); it stays empty where there is no such file.

    Raises:
        SlimError: an unreadable file, or more broken lines than the share `most_broken`.
    """

    def rows(number: int, line: bytes, parse: Callable[[bytes], Any]) -> Iterator[str]:
        meta = parse(line)
        yield f"{number}\t{meta.item}\t{meta.title}\t{meta.brand}\t{meta.category}\t{meta.why}\n"

    texts = dict.fromkeys(("item", "title", "brand", "category", "why"), "VARCHAR")
    table = _Table(work, "meta", {"line": "BIGINT"} | texts)
    if source.meta is None:
        return {"file": None, "lines": 0, "broken": {}}
    return _fill(table, source.meta, "metadata", source, rows, None, most_broken)


class _Table:
    """A new table that grows by batches; text files are DuckDB's fastest way in that needs no further package."""

    def __init__(self, work: Work, name: str, columns: dict[str, str]) -> None:
        self.work, self.name = work, name
        self.file = work.folder / f"{name}.batch"
        types = ", ".join(f"'{column}': '{kind}'" for column, kind in columns.items())
        self.read = (
            f"INSERT INTO {name} SELECT * FROM read_csv(?, delim = '\t', quote = '', escape = '', header = false, "
            f"auto_detect = false, new_line = '\\n', nullstr = '{NULL}', columns = {{{types}}})"
        )
        work.run(f"DROP TABLE IF EXISTS {name}")
        work.run(f"CREATE TABLE {name} ({', '.join(f'{column} {kind}' for column, kind in columns.items())})")

    def add(self, rows: list[str]) -> None:
        try:
            self.file.write_text("".join(rows), "utf-8", newline="\n")
        except OSError as error:
            raise SlimError(
                f"Cannot write {self.file} ({error.strerror}). Free some space and run the same command again."
            ) from None
        self.work.run(self.read, (str(self.file),))

    def close(self) -> None:
        self.file.unlink(missing_ok=True)


def _fill(
    table: _Table,
    file: Path,
    role: str,
    source: Source,
    rows_of: Callable[[int, bytes, Any], Iterable[str]],
    limit: int | None,
    most_broken: float,
) -> dict[str, Any]:
    lines, broken, rows = Lines(file), Broken(file), []
    parse, seen = None, 0
    with tqdm(total=lines.size, desc=role, unit="B", unit_scale=True, disable=None) as bar:
        for block in lines.blocks():
            for number, line in enumerate(block, lines.number - len(block) + 1):
                try:
                    if parse is None:
                        parse = (source.kind.rows if role == "reviews" else source.kind.meta)(line)
                        if source.kind.has_header:
                            continue
                    seen += 1
                    rows.extend(rows_of(number, line, parse))
                except BadLine as bad:
                    if line.strip():
                        broken.add(str(bad), number)
                    else:
                        seen -= 1
                if seen == limit:
                    break
            bar.update(lines.packed - bar.n)
            if len(rows) >= ROWS or seen == limit:
                table.add(rows)
                rows = []
            if seen == limit:
                break
    if rows:
        table.add(rows)
    table.close()
    broken.check(seen, most_broken)
    return {"file": lines.description(role), "lines": seen, "broken": broken.as_dict()}
