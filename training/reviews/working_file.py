"""The DuckDB file in which `prepare_data` works: bounded memory, finished stages remembered, errors in plain words."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb

from slim_app.errors import SlimError

BATCH = 10_000
SMALLEST = 512
"""MB. Below it, sorting and joining a large file fails instead of using the disk."""
OWN = 200
"""MB of --memory that Python and DuckDB's code take; DuckDB's own limit gets the rest."""
PER_THREAD = 150
_UNITS = {"MB": 1, "GB": 1000, "MIB": 1.048576, "GIB": 1073.741824}


def megabytes(text: str) -> int:
    """`2GB`, `1500 MB`, `1.5GiB` as megabytes.

    Raises:
        SlimError: anything else, or less than what the work needs.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB|MiB|GiB)", text.strip(), re.IGNORECASE)
    if not match:
        raise SlimError(f"--memory {text} is not a size. Write it like 2GB or 1500MB.")
    size = int(float(match[1]) * _UNITS[match[2].upper()])
    if size < SMALLEST:
        raise SlimError(f"--memory {text} is too little. Give at least {SMALLEST}MB.")
    return size


class Work:
    """The working file in `folder`; a context manager. Tables of a finished stage stay for the next run.

    Raises:
        SlimError: a folder that cannot be written, or that another process uses.
    """

    def __init__(self, folder: Path, memory: int) -> None:
        self.folder = folder
        threads = max(1, min(os.cpu_count() or 1, (memory - OWN) // PER_THREAD))
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlimError(f"Cannot write {folder} ({error.strerror}). Choose another --out.") from None
        try:
            self._connection = duckdb.connect(str(folder / "work.duckdb"), config={
                "memory_limit": f"{memory - OWN}MB", "threads": threads, "temp_directory": str(folder / "spill"),
                "preserve_insertion_order": False, "autoinstall_known_extensions": False,
            })
        except duckdb.Error as error:
            if "Could not set lock" in str(error):
                raise SlimError(f"Another process works in {folder}. Wait for it, or give another --out.") from None
            raise SlimError(f"Cannot open {folder} ({_first_line(error)}). Remove it and run again.") from None
        self.run("CREATE TABLE IF NOT EXISTS stages (name VARCHAR, key VARCHAR, info VARCHAR, seconds DOUBLE)")

    def run(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a statement gives.

        Raises:
            SlimError: disk or memory ran out.
        """
        with _in_words(self.folder):
            return self._connection.execute(sql, list(values) or None).fetchall()

    def one(self, sql: str) -> Any:
        """The single value that a query gives."""
        return self.run(sql)[0][0]

    def stream(self, sql: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a large result, a batch in memory at a time.

        Raises:
            SlimError: as `run`.
        """
        with _in_words(self.folder):
            result = self._connection.cursor().execute(sql)
            while rows := result.fetchmany(BATCH):
                yield from rows

    def stage(self, name: str, key: str, make: Callable[[], dict[str, Any]]) -> tuple[dict[str, Any], bool]:
        """What `make` tells of the stage, and True if an earlier run had finished it with the same `key`.

        Raises:
            SlimError: as `make`.
        """
        done = self.run("SELECT info FROM stages WHERE name = ? AND key = ?", (name, key))
        if done:
            return json.loads(done[0][0]), True
        self.run("DELETE FROM stages WHERE name = ?", (name,))
        start = time.monotonic()
        info = make()
        info["seconds"] = round(time.monotonic() - start, 2)
        self.run("INSERT INTO stages VALUES (?, ?, ?, ?)", (name, key, json.dumps(info), info["seconds"]))
        return info, False

    def close(self) -> None:
        """Closes the file; what was finished is on the disk."""
        with contextlib.suppress(duckdb.Error):
            self._connection.close()

    def __enter__(self) -> Work:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def key_of(before: str, **settings: Any) -> str:
    """Names a stage's result by everything that decides it: the key of the stage before and its own settings."""
    return hashlib.sha256(json.dumps([before, settings], sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _in_words(folder: Path) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # how DuckDB passes on Ctrl-C
            raise KeyboardInterrupt from None
        raise
    except duckdb.Error as error:
        text = str(error)
        again = "run the same command again: it continues after the last finished stage"
        if "No space left" in text or "max_temp_directory_size" in text or "File too large" in text:
            raise SlimError(f"The disk of {folder} is full. Free some space and {again}.") from None
        if isinstance(error, duckdb.OutOfMemoryException):
            raise SlimError(f"The work does not fit in --memory. Raise it and {again}.") from None
        raise SlimError(f"DuckDB stopped in {folder}: {_first_line(error)}. Remove the folder and run again.") from None


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
