"""A dataset folder: `items.tsv` (item_id, title, and where known brand, category) and `sequences.tsv`
(user_id, item ids oldest first). `prepare_data` writes it, every later stage reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from slim_app.errors import SlimError
from slim_app.schema import Item
from training.files import read_tsv


@dataclass(frozen=True)
class Dataset:
    name: str
    """The folder's name; with a user id it names a person uniquely."""
    items: Mapping[str, Item]
    sequences: Mapping[str, tuple[str, ...]]
    """user_id → item ids, oldest first."""
    simulated: bool = False
    """True where `meta.json` says that nobody of these people exists; said beside whatever was made from them."""

    def history(self, user: str, upto: int, place: str = "") -> tuple[Item, ...]:
        """The first `upto` purchases of a user.

        Raises:
            SlimError: an unknown user, an `upto` outside the sequence, or an item without a title.
        """
        place = place or self.name
        if user not in self.sequences:
            raise SlimError(f"{place}: user “{user}” is not in the dataset {self.name}. Use the one it came from.")
        sequence = self.sequences[user]
        if not isinstance(upto, int) or not 1 <= upto <= len(sequence):
            raise SlimError(f"{place}: `upto` is {upto!r}, but must be from 1 to {len(sequence)}. Correct the row.")
        missing = [i for i in sequence[:upto] if not self.items.get(i, Item(i, "")).title]
        if missing:
            raise SlimError(f"{place}: the item “{missing[0]}” has no title. Add it to items.tsv, or remove the row.")
        return tuple(self.items[i] for i in sequence[:upto])


def read_dataset(folder: Path) -> Dataset:
    """The dataset in `folder`.

    Raises:
        SlimError: a missing or damaged file, with the place and what to do.
    """
    items = {
        row["item_id"]: Item(row["item_id"], row["title"], row.get("brand", ""), row.get("category", ""))
        for _, row in _rows(folder / "items.tsv", "item_id", "title")
    }
    rows = _rows(folder / "sequences.tsv", "user_id", "item_ids")
    sequences = {row["user_id"]: tuple(row["item_ids"].split()) for _, row in rows}
    if not items or not sequences:
        raise SlimError(f"The dataset {folder} is empty. Run prepare_data again.")
    return Dataset(folder.resolve().name, items, sequences, _simulated(folder / "meta.json"))


def _simulated(meta: Path) -> bool:
    if not meta.is_file():
        return False
    try:
        return bool(json.loads(meta.read_text("utf-8")).get("simulated"))
    except (ValueError, AttributeError) as error:
        raise SlimError(f"{meta} is not a readable description ({error!r}). Repair or remove it.") from None


def _rows(file: Path, *needed: str) -> Iterator[tuple[str, dict[str, str]]]:
    for place, row in read_tsv(file):
        for name in needed:
            if name not in row:
                raise SlimError(f"{file} has no column `{name}`. Its first line must name: {', '.join(needed)}.")
        yield place, row
