"""Verdicts on pairs of writers, kept in one SQLite file.

Safe under many visitors, threads and processes: every call has a connection of its own, writes take SQLite's lock,
and a vote that was counted has reached the disk (write-ahead log, synchronous), so that killing the app loses none.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.schema import Item, ModelInfo, shown
from slim_app.vote_tally import Tally, add_up

if TYPE_CHECKING:
    from slim_app.compare_state import CompareState, SideState

FILE = "votes.sqlite3"
VERDICTS = ("A", "B", "tie", "both_bad")
SCHEMA_VERSION = 1
MAX_COMMENT = 1_000
MAX_TEXT = 8_000
"""Characters that are kept of one text; a rationale has about 1,000."""
MAX_VOTES = 50_000
"""Room for all who judge, and an end for somebody who fills the disk: 100 MB of usual texts, 1 GB of the longest."""
BUSY_SECONDS = 10.0
_SCHEMA = """
CREATE TABLE votes (
    comparison TEXT PRIMARY KEY, time TEXT NOT NULL, verdict TEXT NOT NULL CHECK (verdict IN ('A', 'B', 'tie',
    'both_bad')), comment TEXT NOT NULL, blind INTEGER NOT NULL, seed INTEGER,
    a_name TEXT NOT NULL, a_kind TEXT NOT NULL, a_version TEXT NOT NULL, a_status TEXT NOT NULL, a_text TEXT NOT NULL,
    b_name TEXT NOT NULL, b_kind TEXT NOT NULL, b_version TEXT NOT NULL, b_status TEXT NOT NULL, b_text TEXT NOT NULL,
    domain TEXT NOT NULL, sample TEXT NOT NULL, history TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Vote:
    """One verdict; A and B are the sides as they were shown. Its fields are the table's columns."""

    comparison: str
    time: str
    """UTC, ISO 8601."""
    verdict: str
    comment: str
    blind: bool
    seed: int | None
    a_name: str
    a_kind: str
    a_version: str
    """Base, adapter and prompt version."""
    a_status: str
    a_text: str
    b_name: str
    b_kind: str
    b_version: str
    b_status: str
    b_text: str
    domain: str
    sample: str
    """Id of the sample shopper; empty for a history of the visitor's own."""
    history: tuple[str, ...]
    """Titles that were read, oldest first; empty, as are the texts, where the purchases are not to be kept."""

    @property
    def writers(self) -> tuple[str, str]:
        """Who A and B were, by name and kind."""
        return f"{self.a_name} ({self.a_kind})", f"{self.b_name} ({self.b_kind})"  # as in _COUNT


COLUMNS = tuple(field.name for field in fields(Vote))
_INSERT = f"INSERT INTO votes ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_COUNT = """
SELECT a_name || ' (' || a_kind || ')', b_name || ' (' || b_kind || ')', blind, verdict, count(*) FROM votes
GROUP BY 1, 2, 3, 4
"""
_SELECT = f"SELECT {', '.join(COLUMNS)} FROM votes ORDER BY time, rowid"


def vote_on(
    state: CompareState, verdict: str, comment: str, history: Sequence[Item], domain: str, sample: str, keep_texts: bool
) -> Vote:
    """A vote on a comparison, at any moment of it.

    Args:
        state: the true state, not the masked one.
        sample: id of the sample shopper, empty for a history of the visitor's own.
        keep_texts: keep purchases and texts with the vote. A visitor's own history only where the visitor was told.

    Raises:
        SlimError: three sides, an unknown verdict, or a comment that is too long.
    """
    if len(state.sides) != 2:
        raise SlimError("A vote is about two writers. Compare two of them to vote.")
    if verdict not in VERDICTS:
        raise SlimError(f"Unknown verdict “{str(verdict)[:40]}”. Choose one of: {', '.join(VERDICTS)}.")
    if len(comment) > MAX_COMMENT:
        raise SlimError(f"The comment has {len(comment):,} characters, and {MAX_COMMENT:,} fit. Shorten it.")
    first, second = (_side(side, keep_texts) for side in state.sides)
    titles = tuple(clean_title(item.title, 300) for item in shown(history)) if keep_texts else ()
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return Vote(
        state.id, now, verdict, _plain(comment), state.blind, state.seed, *first, *second, domain, sample, titles
    )


class Votes:
    """The votes of one data folder. A file that was moved away is begun anew, also while the app runs.

    Raises:
        SlimError: the file cannot be made, read or written, was made by a newer version, or is full.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / FILE
        with self._open():  # what cannot be used is told at once
            pass

    def add(self, vote: Vote) -> None:
        """Count a vote; when this returns it is on the disk.

        Raises:
            SlimError: this comparison was voted on already, or as for the class.
        """
        values = [json.dumps(v, ensure_ascii=False) if isinstance(v, tuple) else v for v in astuple(vote)]
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            if db.execute("SELECT count(*) FROM votes").fetchone()[0] >= MAX_VOTES:
                raise SlimError(f"{MAX_VOTES:,} votes are stored, and no more fit. Export them, then move {self.file}.")
            try:
                db.execute(_INSERT, values)
            except sqlite3.IntegrityError:
                raise SlimError("A vote on this comparison is counted already. Compare again to vote again.") from None
            db.execute("COMMIT")

    def all(self) -> list[Vote]:
        """Every vote, oldest first."""
        with self._open() as db:
            rows = db.execute(_SELECT).fetchall()
        try:
            return [Vote(**{**dict(row), "blind": bool(row["blind"]), "history": tuple(json.loads(row["history"]))})
                    for row in rows]  # fmt: skip
        except ValueError as error:
            raise self._unusable(error) from None

    def tallies(self) -> list[Tally]:
        """What the votes add up to; texts are not read for it."""
        with self._open() as db:
            return add_up((first, second, bool(blind), verdict, n)
                          for first, second, blind, verdict, n in db.execute(_COUNT))  # fmt: skip

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        folder = self.file.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlimError(f"The folder {folder} cannot be made ({error}). Name another one with --data.") from None
        try:
            with closing(sqlite3.connect(self.file, timeout=BUSY_SECONDS, isolation_level=None)) as db:
                db.row_factory = sqlite3.Row
                _write_ahead(db)
                db.execute("PRAGMA synchronous = FULL")
                self._make(db)
                yield db
        except (sqlite3.Error, OSError) as error:
            raise self._unusable(error) from None

    def _make(self, db: sqlite3.Connection) -> None:
        """The table, in a file that is new."""
        found = db.execute("PRAGMA user_version").fetchone()[0]
        if found > SCHEMA_VERSION:
            raise SlimError(f"{self.file} was written by a newer version of this app. Update it, or move the file.")
        if found == 0:
            db.execute("BEGIN IMMEDIATE")  # two processes may start at once: the second finds the table made
            if db.execute("PRAGMA user_version").fetchone()[0] == 0:
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            db.execute("COMMIT")

    def _unusable(self, error: Exception) -> SlimError:
        return SlimError(
            f"The votes in {self.file} cannot be read or written ({error}). Check the folder and the free space; "
            "a damaged file may be moved away, then a new one is begun."
        )


def _write_ahead(db: sqlite3.Connection) -> None:
    """Switch to the write-ahead log; SQLite does not wait by itself while another process is doing the same."""
    limit = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > limit:
                raise
            time.sleep(0.02)


def _side(side: SideState, keep_text: bool) -> tuple[str, str, str, str, str]:
    name = clean_title(side.name, 120) + (" [named by a visitor]" if side.visitors else "")
    return name, side.kind, _version(side.model), side.status, _plain(side.text[:MAX_TEXT]) if keep_text else ""


def _version(info: ModelInfo) -> str:
    adapter = Path(info.adapter).name if info.adapter else ""  # a path of the server is nobody's business
    prompt = f"prompt {info.prompt_version}" if info.prompt_version else ""
    return " · ".join(part for part in (clean_title(info.base, 120), adapter, prompt) if part)


def _plain(text: str) -> str:
    """Clean line by line; line breaks stay."""
    return "\n".join(clean_title(line) for line in text.splitlines()).strip()
