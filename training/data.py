"""Teacher rationales with their purchase histories: the rows that the student learns from (METHOD.md, chain 1-2).

A source is either a JSONL of rationales with a dataset folder (a rationale's `upto` says how many purchases its writer
saw), or a demo domain folder (`items.jsonl`, `shoppers.jsonl`: the whole history was seen).
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import format_rationale
from slim_app.schema import Item
from training.dataset import read_dataset
from training.files import read_jsonl

log = logging.getLogger(__name__)
ENTRIES = 5
HELD_OUT_SHARE = 10  # one in ten users is never trained on


@dataclass(frozen=True)
class Row:
    """One training example."""

    id: str
    source: str
    """`<dataset>` or `demo-<domain>`: with `id`, names the person uniquely."""
    history: tuple[Item, ...]
    """All purchases that the teacher saw, oldest first; prompts show the newest 20."""
    text: str
    """The rationale in canonical form."""

    @property
    def key(self) -> str:
        return f"{self.source}:{self.id}"

    @property
    def held_out(self) -> bool:
        """True for a fixed tenth of all people: the same ones in every run and on every machine."""
        return int(hashlib.sha256(self.key.encode()).hexdigest(), 16) % HELD_OUT_SHARE == 0


@dataclass(frozen=True)
class Source:
    file: Path
    sha256: str
    rows: tuple[Row, ...]


def load(spec: str) -> Source:
    """Rows of one `--data` value: `RATIONALES.jsonl=DATASET_FOLDER`, or a demo domain folder.

    Raises:
        SlimError: a missing file or a bad line, with its place and what to do.
    """
    left, _, folder = spec.partition("=")
    file = Path(left) if folder else Path(left) / "shoppers.jsonl"
    rows = tuple(_dataset_rows(file, Path(folder)) if folder else _demo_rows(file))
    if not rows:
        raise SlimError(f"{file} holds no rationales. Collect some first, or leave this --data out.")
    return Source(file, hashlib.sha256(file.read_bytes()).hexdigest(), rows)


def split(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """(training rows, held-out rows); the latter in the order of their hashes, so that a prefix is a fair sample.

    Raises:
        SlimError: the same person twice, which could put one of them on both sides in disguise.
    """
    twice = [key for key, times in Counter(row.key for row in rows).items() if times > 1]
    if twice:
        raise SlimError(f"The user {twice[0]} appears twice in the rationales. Remove one of the rows.")
    held_out = sorted((r for r in rows if r.held_out), key=lambda r: hashlib.sha256(r.key.encode()).digest())
    return [r for r in rows if not r.held_out], held_out


def _dataset_rows(file: Path, folder: Path) -> Iterator[Row]:
    """Of a user with several rationales the one that saw least: it has not seen what the others predict."""
    dataset = read_dataset(folder)
    least: dict[str, list[Row]] = {}
    longer = 0
    for place, record in read_jsonl(file):
        version = record.get("prompt_version", PROMPT_VERSION)  # rationales written by hand carry none
        if version != PROMPT_VERSION:
            raise SlimError(
                f"{place}: written for prompt version {version!r}; this is version {PROMPT_VERSION!r}. "
                "Collect the rationales again, or use the release that wrote them."
            )
        if record.get("problem"):
            continue  # kept by collect_rationales as a record of what went wrong
        user = str(record.get("user_id", ""))
        row = Row(user, dataset.name, dataset.history(user, record.get("upto", 0), place), _text(record, place))
        kept = least.setdefault(user, [])
        if kept and len(row.history) != len(kept[0].history):
            longer += 1
            if len(row.history) > len(kept[0].history):
                continue
            kept.clear()
        kept.append(row)
    if longer:
        log.warning("%s: %d rationales left out, since their users have one from a shorter history", file, longer)
    for rows in least.values():
        yield from rows


def _demo_rows(file: Path) -> Iterator[Row]:
    titles = {record.get("id", ""): record.get("title", "") for _, record in read_jsonl(file.with_name("items.jsonl"))}
    for place, record in read_jsonl(file):
        history = record.get("history")
        if not isinstance(history, list) or not history:
            raise SlimError(f"{place}: the shopper has no `history`. Give it item ids, or remove the row.")
        items = _items(history, titles, place)
        yield Row(str(record.get("shopper_id", "")), f"demo-{file.parent.name}", items, _text(record, place))


def _items(ids: Sequence[str], titles: Mapping[str, str], place: str) -> tuple[Item, ...]:
    missing = [i for i in ids if not titles.get(i)]
    if missing:
        raise SlimError(f"{place}: the item “{missing[0]}” has no title. Add it to the item file, or remove the row.")
    return tuple(Item(i, titles[i]) for i in ids)


def _text(record: Mapping[str, Any], place: str) -> str:
    """The canonical rationale; every step must be there, because the student copies the form that it is shown."""
    if not isinstance(record.get("step1"), str) or not record["step1"].strip():
        raise SlimError(f"{place}: `step1` must be a text. Collect this rationale again, or remove the row.")
    for key in ("step2", "step3"):
        entries = record.get(key)
        if not isinstance(entries, list) or sum(isinstance(e, str) and bool(e.strip()) for e in entries) != ENTRIES:
            raise SlimError(f"{place}: `{key}` must list {ENTRIES} texts. Collect this rationale again or remove it.")
    return format_rationale(record["step1"], record["step2"], record["step3"])
