"""Text files of any size, plain or gzip, line by line in bounded memory; and what was wrong with their lines."""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError

CHUNK = 1 << 20
"""Bytes read from the disk at once."""
UNPACKED = 8 << 20
"""Bytes unpacked at once: a file of zeros unpacks to a thousand times its size."""
LONGEST_LINE = 64 << 20
PLACES = 3
"""So many places of each kind of broken line are named."""


class BadLine(Exception):
    """A line that cannot be used; its text is the reason, without the place. Caught by whoever counts."""


class Lines:
    """One pass over one file. `number` is the last line handed out, `packed` the bytes read so far."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.number = 0
        self.packed = 0
        self.whole = False
        """True once the last line was handed out."""
        self._hash = hashlib.sha256()
        try:
            stat = file.stat()
        except OSError as error:
            raise SlimError(f"Cannot read {file} ({error.strerror}). Check the path.") from None
        self.size, self.modified = stat.st_size, stat.st_mtime_ns

    def blocks(self) -> Iterator[list[bytes]]:
        """Lists of whole lines without their line feed; `number` is that of a list's last line when it comes out.

        Raises:
            SlimError: an unreadable, empty, damaged or cut-off file, or a line without an end.
        """
        rest = b""
        for data in self._data():
            if not self.number and not rest:
                data = data.removeprefix(b"\xef\xbb\xbf")
            lines = (rest + data).split(b"\n") if rest else data.split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                raise SlimError(
                    f"{self.file}, line {self.number + len(lines) + 1}: longer than {LONGEST_LINE >> 20} MB. "
                    "This is not a file of one record a line; check the path."
                )
            if lines:
                self.number += len(lines)
                yield lines
        if rest:
            self.number += 1
            yield [rest]
        if not self.number:
            raise SlimError(f"{self.file} is empty. Download it again, or check the path.")
        self.whole = True

    def _data(self) -> Iterator[bytes]:
        try:
            with self.file.open("rb") as stream:
                chunks = iter(lambda: self._seen(stream.read(CHUNK)), b"")
                first = next(chunks, b"")
                if first[:2] == b"\x1f\x8b":
                    yield from self._unzipped(first, chunks)
                else:
                    yield first
                    yield from chunks
        except OSError as error:
            raise SlimError(f"Cannot read {self.file} ({error.strerror}). Check the path and the disk.") from None

    def _seen(self, chunk: bytes) -> bytes:
        self._hash.update(chunk)
        self.packed += len(chunk)
        return chunk

    def _unzipped(self, first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """gzip, also of several members; the module `gzip` reads 8 KB at a time and does not bound its output."""
        member, packed = zlib.decompressobj(wbits=31), first
        try:
            while packed:
                if member.eof:
                    packed = packed.lstrip(b"\0")  # some tools pad the end
                    member = zlib.decompressobj(wbits=31) if packed else member
                if packed:
                    if data := member.decompress(packed, UNPACKED):
                        yield data
                    packed = member.unused_data if member.eof else member.unconsumed_tail
                packed = packed or next(chunks, b"")
            if data := member.flush():  # what the bound on the last call held back
                yield data
        except zlib.error:
            raise SlimError(
                f"{self.file} is damaged near byte {self.packed:,} of {self.size:,}, after line {self.number:,}. "
                "Download it again."
            ) from None
        if not member.eof:
            raise SlimError(
                f"{self.file} ends in the middle, after line {self.number:,}: its download was probably interrupted. "
                "Download it again."
            )

    def description(self, role: str) -> dict[str, Any]:
        """For meta.json; the hash only when the whole file was read."""
        return {"role": role, "name": self.file.name, "bytes": self.size, "modified_ns": self.modified,
                "sha256": self._hash.hexdigest() if self.whole else None}


class Broken:
    """Counts the lines that could not be used, by reason, and remembers where the first of each stand."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lines: Counter[str] = Counter()
        self.places: dict[str, list[int]] = {}

    def add(self, reason: str, number: int) -> None:
        """One more line that is left out."""
        self.lines[reason] += 1
        places = self.places.setdefault(reason, [])
        if len(places) < PLACES:
            places.append(number)

    @property
    def total(self) -> int:
        return self.lines.total()

    def check(self, of: int, most: float) -> None:
        """Refuses a file with too many broken lines.

        Raises:
            SlimError: more than the share `most` of the `of` lines is broken; names reasons and places.
        """
        if self.total > most * of:
            raise SlimError(
                f"{self.file}: {self.total:,} of {of:,} lines ({self.total / of:.1%}) are broken, more than "
                f"--max-broken {most:.1%} allows: {'; '.join(self.sentences())}. "
                "Check --source, download the file again, or raise --max-broken."
            )

    def sentences(self) -> list[str]:
        """One for each reason, the commonest first."""
        return [
            f"{count:,} × {reason} (line {', '.join(map(str, self.places[reason]))}{', …' if count > PLACES else ''})"
            for reason, count in self.lines.most_common()
        ]

    def as_dict(self) -> dict[str, Any]:
        """For meta.json."""
        return {reason: {"lines": count, "first": self.places[reason]} for reason, count in self.lines.most_common()}


def first_lines(file: Path, count: int) -> list[bytes]:
    """The first lines that are not blank, at most `count`.

    Raises:
        SlimError: as `Lines.blocks`, as far as the file is read.
    """
    found: list[bytes] = []
    for block in Lines(file).blocks():
        found += [line for line in block if line.strip()]
        if len(found) >= count:
            break
    return found[:count]
