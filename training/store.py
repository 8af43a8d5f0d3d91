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
import stat
import threading
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from training.files import read_jsonl

log = logging.getLogger(__name__)
Key = tuple[str, int, str, str]


def key_of(row: dict[str, Any]) -> Key:
    """(user_id, upto, prompt_version, model): what is never generated, or paid for, twice."""
    return str(row["user_id"]), int(row["upto"]), str(row["prompt_version"]), str(row["model"])


def beside(file: Path, kind: str) -> Path:
    """A companion of a rationale file: `teacher.jsonl` → `teacher.jsonl.meta.json` for the kind `meta`.

    Named after the file, because several rationale files may lie in one folder.
    """
    return file.with_name(f"{file.name}.{kind}.json")


def write_json(file: Path, content: dict[str, Any]) -> None:
    """Replaces `file` as a whole: a reader, and a kill, see the old content or the new.

    Raises:
        SlimError: the disk is full or not writable.
    """
    temporary = file.with_name(file.name + ".new")
    try:
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise SlimError(f"Cannot write {file} ({error.strerror}). Free some space and run it again.") from None


class RationaleStore:
    """One file, open for appending; a context manager. `rows` maps each key to its newest row.

    Raises:
        SlimError: an unreadable file or line, a row of another prompt version, a file that another process writes.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[Key, dict[str, Any]] = {}
        self._lock = threading.Lock()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what could not be written must not come back with a later row.
            self._stream = file.open("ab+", buffering=0)
        except OSError as error:
            raise SlimError(f"Cannot write {file} ({error.strerror}). Choose another --out.") from None
        try:
            self._take()
            self._drop_cut_line()
            for place, row in read_jsonl(file):
                self._read(place, row)
        except SlimError:
            self._stream.close()
            raise

    def _take(self) -> None:
        """Makes this process the only writer, until it ends in whatever way."""
        if not stat.S_ISREG(os.fstat(self._stream.fileno()).st_mode):
            raise SlimError(f"{self.file} is not a file that can hold rows. Choose another --out.")
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SlimError(f"Another process is writing {self.file}. Wait for it, or give another --out.") from None
        except OSError as error:
            where = f"Cannot lock {self.file} ({error.strerror})"
            raise SlimError(f"{where}. Choose an --out on a disk of this machine.") from None

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

    def _read(self, place: str, row: dict[str, Any]) -> None:
        try:
            key = key_of(row)
        except (KeyError, ValueError, TypeError):
            what = "needs user_id, upto, prompt_version and model"
            raise SlimError(f"{place}: a stored rationale {what}. Repair or remove the line.") from None
        if key[2] != PROMPT_VERSION:
            raise SlimError(
                f"{place}: written for prompt version {key[2]!r}; this is version {PROMPT_VERSION!r}. "
                "Give another --out, or use the release that wrote it."
            )
        self.rows[key] = row

    def append(self, row: dict[str, Any]) -> None:
        """Adds one row and hands it to the operating system; callable from several threads.

        Raises:
            SlimError: the disk is full; the file then ends with its last whole row.
        """
        line = memoryview(json.dumps(row, ensure_ascii=False).encode("utf-8", "replace") + b"\n")
        with self._lock:
            end = self._stream.seek(0, os.SEEK_END)
            try:
                while line:  # a disk that is nearly full takes a part of it
                    line = line[self._stream.write(line) :]
            except OSError as error:
                with contextlib.suppress(OSError):  # the cut line is dropped at the next start
                    self._stream.truncate(end)
                raise SlimError(
                    f"Cannot write {self.file} ({error.strerror}). Free some space and run the same command again: "
                    "it continues after the last stored rationale."
                ) from None
            self.rows[key_of(row)] = row

    def __enter__(self) -> RationaleStore:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
