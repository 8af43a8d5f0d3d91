"""The append-only JSONL of rationales: one line each, so that a kill at any moment loses only what was in flight.

A row: `user_id`, `upto` (how many purchases the writer saw), `prompt_version`, `model`; the rationale (`step1` text,
`step2` and `step3` lists); and whatever its writer adds (usage, seconds, `problem` for an answer that did not parse).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from training.files import read_jsonl

log = logging.getLogger(__name__)
Key = tuple[str, int, str, str]


def key_of(row: dict[str, Any]) -> Key:
    """(user_id, upto, prompt_version, model): what is never generated, or paid for, twice."""
    return str(row["user_id"]), int(row["upto"]), str(row["prompt_version"]), str(row["model"])


class RationaleStore:
    """One file, open for appending; a context manager. `rows` maps each key to its newest row.

    Raises:
        SlimError: an unreadable file or line, a file that another process writes, or a full disk.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[Key, dict[str, Any]] = {}
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._stream = file.open("ab+")
        except OSError as error:
            raise SlimError(f"Cannot write {file} ({error.strerror}). Choose another --out.") from None
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._drop_cut_line()
            for place, row in read_jsonl(file):
                try:
                    self.rows[key_of(row)] = row
                except (KeyError, ValueError, TypeError):
                    what = "needs user_id, upto, prompt_version and model"
                    raise SlimError(f"{place}: a stored rationale {what}. Repair or remove the line.") from None
        except BlockingIOError:
            self._stream.close()
            raise SlimError(f"Another process is writing {file}. Wait for it, or give another --out.") from None
        except SlimError:
            self._stream.close()
            raise

    def _drop_cut_line(self) -> None:
        """A line without its end was in flight when its writer was killed."""
        size = self._stream.seek(0, os.SEEK_END)
        tail, at = b"", size
        while at and b"\n" not in tail:
            step = min(65_536, at)
            at = self._stream.seek(at - step)
            tail = self._stream.read(step) + tail
        keep = at + tail.rfind(b"\n") + 1
        if keep < size:
            log.warning("%s: the last line was cut off; it is removed and its rationale made again", self.file)
            self._stream.truncate(keep)

    def append(self, row: dict[str, Any]) -> None:
        """Adds one row and hands it to the operating system; callable from several threads.

        Raises:
            SlimError: the disk is full; the file then ends with its last whole row.
        """
        line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            end = self._stream.seek(0, os.SEEK_END)
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError as error:
                self._undo(end)
                raise SlimError(
                    f"Cannot write {self.file} ({error.strerror}). Free some space and run the same command again: "
                    "it continues after the last stored rationale."
                ) from None
            self.rows[key_of(row)] = row

    def _undo(self, end: int) -> None:
        with contextlib.suppress(OSError):  # the cut line is dropped at the next start
            os.ftruncate(self._stream.fileno(), end)

    def __enter__(self) -> RationaleStore:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # a full disk has been reported by `append`
            self._stream.close()
