"""Writes a dataset folder: `items.tsv`, `sequences.tsv`, `splits.tsv`, `meta.json`; read by `training.dataset`."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any, TextIO

from tqdm import tqdm

from slim_app.errors import SlimError
from training.positions import POSITIONS, upto_of
from training.reviews.kcore import SEQ
from training.reviews.working_file import Work

TABLES = ("items.tsv", "sequences.tsv", "splits.tsv")


def split_row(length: int) -> list[str]:
    """The positions (from 0) of the training, validation and test target in a sequence: leave-one-out.

    The items before a target are all that may predict it, so each number is also the largest `upto` for it; the
    items for training are those before the validation target. Empty where nothing would precede a target.
    """
    return [str(upto) if (upto := upto_of(position, length)) > 0 else "" for position in POSITIONS]


def write_tables(work: Work, out: Path) -> dict[str, Any]:
    """Writes the three tables beside their final names, swaps them in, and returns the statistics.

    Raises:
        SlimError: the folder cannot be written, or the disk is full; the old files are then still there.
    """
    parts = [out / f"{name}.part" for name in TABLES]
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (parts[0].open("w", encoding="utf-8", newline="\n") as items,
              parts[1].open("w", encoding="utf-8", newline="\n") as sequences,
              parts[2].open("w", encoding="utf-8", newline="\n") as splits):
            described = _write_items(work, items)
            lengths = _write_sequences(work, sequences, splits)
            for stream in (items, sequences, splits):
                stream.flush()
                os.fsync(stream.fileno())
        (out / "meta.json").unlink(missing_ok=True)  # it must never stand beside tables that it does not describe
        for name, part in zip(TABLES, parts, strict=True):
            part.replace(out / name)
    except OSError as error:
        raise _cannot_write(out, error) from None
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
    return _statistics(work, described, lengths)


def write_meta(out: Path, meta: dict[str, Any]) -> None:
    """Writes `meta.json`: the last file, so that a folder with it is complete.

    Raises:
        SlimError: the folder cannot be written, or the disk is full.
    """
    part = out / "meta.json.part"
    try:
        part.write_text(json.dumps(meta, indent=1, ensure_ascii=False) + "\n", "utf-8")
        part.replace(out / "meta.json")
    except OSError as error:
        raise _cannot_write(out, error) from None


def _write_items(work: Work, stream: TextIO) -> dict[str, int]:
    """In the order of the source's own item file; returns how many have which field."""
    filled = Counter(items=0, title=0, brand=0, category=0)
    stream.write("item_id\ttitle\tbrand\tcategory\n")
    query = ("SELECT item, title, brand, category FROM things WHERE iid IN (SELECT iid FROM final) "
             "ORDER BY line NULLS LAST, item")
    for row in work.stream(query):
        stream.write("\t".join(row) + "\n")
        filled["items"] += 1
        for name, value in zip(("title", "brand", "category"), row[1:], strict=True):
            filled[name] += bool(value)
    return dict(filled)


def _write_sequences(work: Work, sequences: TextIO, splits: TextIO) -> Counter[int]:
    """Returns how many sequences have which length."""
    lengths: Counter[int] = Counter()
    sequences.write("user_id\titem_ids\n")
    splits.write("\t".join(("user_id", *(f"{position}_position" for position in POSITIONS))) + "\n")
    users = work.one("SELECT count(*) FROM chosen")
    rows = work.stream(
        "SELECT people.name, things.item FROM final JOIN people ON final.uid = people.uid "
        "JOIN things ON final.iid = things.iid ORDER BY place, pos"
    )
    for user, items in tqdm(_sequences(rows), total=users, desc="writing", unit=" users", disable=None):
        sequences.write(f"{user}\t{' '.join(items)}\n")
        splits.write("\t".join((user, *split_row(len(items)))) + "\n")
        lengths[len(items)] += 1
    return lengths


def _sequences(rows: Iterable[tuple[str, str]]) -> Iterator[tuple[str, list[str]]]:
    for user, pairs in groupby(rows, key=lambda row: row[0]):
        yield user, [item for _, item in pairs]


def _statistics(work: Work, filled: dict[str, int], lengths: Counter[int]) -> dict[str, Any]:
    users, interactions = lengths.total(), sum(length * count for length, count in lengths.items())
    items = filled["items"]
    ordered = sorted(lengths)
    first, last = work.run("SELECT min(pos), max(pos) FROM final")[0]
    return {
        "users": users,
        "items": items,
        "interactions": interactions,
        "length_mean": round(interactions / users, 3),
        "length_median": _median(lengths),
        "length_min": ordered[0],
        "length_max": ordered[-1],
        "density": interactions / (users * items),
        "first_day": _day(first // SEQ),
        "last_day": _day(last // SEQ),
        **{f"share_with_{name}": round(filled[name] / items, 4) for name in ("title", "brand", "category")},
        "users_without_validation_target": sum(count for length, count in lengths.items() if length < 3),
        "users_without_test_target": lengths[1],
    }


def _median(lengths: Counter[int]) -> float:
    middle, seen, found = (lengths.total() - 1) / 2, 0, []
    for length in sorted(lengths):
        before, seen = seen, seen + lengths[length]
        found += [length] * sum(before <= at < seen for at in (int(middle), int(middle + 0.5)))
    return sum(found) / 2


def _day(milliseconds: int) -> str | None:
    """None where the source has no times (zero), or one outside the calendar."""
    try:
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).date().isoformat() if milliseconds else None
    except (OverflowError, ValueError, OSError):
        return None


def _cannot_write(out: Path, error: OSError) -> SlimError:
    return SlimError(
        f"Cannot write {out} ({error.strerror}). Free some space or choose another --out, and run the same command "
        "again: it continues after the last finished stage."
    )
