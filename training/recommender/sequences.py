"""Purchase sequences as arrays, and the batches that a recommender trains on. No loop over users."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from slim_app.errors import SlimError
from training.dataset import Dataset
from training.positions import upto_of

WIDTHS = (4, 8, 16, 32)
"""Where `by_length` parts: few groups, since each costs a pass, and little padding in each."""


@dataclass(frozen=True)
class Sequences:
    """All sequences end to end, as rows of the catalogue (the order of items.tsv)."""

    users: tuple[str, ...]
    flat: np.ndarray
    starts: np.ndarray
    """(u,) where each user's sequence begins in `flat`."""
    lengths: np.ndarray
    n_items: int

    @classmethod
    def of(cls, dataset: Dataset) -> Sequences:
        """Raises SlimError for an item that items.tsv lacks."""
        row_of = {item: row for row, item in enumerate(dataset.items)}
        try:
            flat = np.fromiter((row_of[item] for s in dataset.sequences.values() for item in s), np.int64)
        except KeyError as error:
            what = f"items.tsv lacks the item {error} of sequences.tsv"
            raise SlimError(f"{dataset.name}: {what}. Run training.prepare_data again.") from None
        lengths = np.fromiter(map(len, dataset.sequences.values()), np.int64)
        return cls(tuple(dataset.sequences), flat, np.cumsum(lengths) - lengths, lengths, len(dataset.items))

    def prefixes(self, users: np.ndarray, upto: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
        """The newest `width` of the first `upto` (p,) items of users (p,): (p, width) padded right, (p,) lengths."""
        lengths = np.minimum(upto, width)
        columns = np.arange(width)
        places = (self.starts[users] + upto - lengths)[:, None] + columns
        inside = columns < lengths[:, None]
        return np.where(inside, self.flat[np.where(inside, places, 0)], self.n_items), lengths

    def at(self, users: np.ndarray, position: np.ndarray) -> np.ndarray:
        """(p,) the item at 0-based `position` of each user."""
        return self.flat[self.starts[users] + position]

    def trained_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of user and item of each purchase in the training part, which is all but the targets of validation and
        test; what a user bought twice stands there once."""
        place = np.arange(len(self.flat)) - np.repeat(self.starts, self.lengths)
        trained = place < np.repeat(upto_of("valid", self.lengths), self.lengths)
        user = np.repeat(np.arange(len(self.users)), self.lengths)
        pairs = np.unique(user[trained] * self.n_items + self.flat[trained])
        return pairs // self.n_items, pairs % self.n_items

    def users_for(self, position: str) -> np.ndarray:
        """Users with a target at `position` (train, valid, test) and at least one item before it."""
        return np.flatnonzero(upto_of(position, self.lengths) >= 1)


@dataclass(frozen=True)
class Batch:
    """B windows of T items; target t is the item that follows item t."""

    items: torch.Tensor
    """(B, T), padded right."""
    targets: torch.Tensor
    """(B, T), padded alike."""
    fused_at: torch.Tensor
    """(B,) the place whose target the rationale may score; -1 where there is none."""
    rationale: torch.Tensor
    """(B,) row of that rationale."""


class Windows:
    """The training part of all sequences, cut from its end into windows, so that every target is trained on once.

    The training targets are the items 1 to n-3: the two newest are the targets of validation and test. Only the
    target at position `upto` of a user's rationale is scored with it; all others are scored without.
    """

    def __init__(
        self, sequences: Sequences, width: int, rationale: np.ndarray | None = None, upto: np.ndarray | None = None
    ) -> None:
        """`rationale` (u,): each user's rationale row, -1 without one; `upto` (u,): how many items it saw.

        Raises:
            SlimError: nothing to train on, or a rationale that saw its target.
        """
        shown = upto_of("train", sequences.lengths)
        people = sequences.users_for("train")
        if not len(people):
            raise SlimError("No sequence is long enough to train on: at least 4 items are needed. Give more data.")
        count = -(-shown[people] // width)
        users = np.repeat(people, count)
        number = np.arange(len(users)) - np.repeat(np.cumsum(count) - count, count)
        ends = shown[users] - number * width
        items, self.lengths = sequences.prefixes(users, ends, width)
        targets = np.full_like(items, sequences.n_items)
        inside = np.arange(width) < self.lengths[:, None]
        first = sequences.starts[users] + ends - self.lengths + 1
        targets[inside] = sequences.flat[(first[:, None] + np.arange(width))[inside]]
        place = np.full(len(users), -1)
        rows = np.full(len(users), -1)
        if rationale is not None and upto is not None:
            # the item at 0-based position `upto` is the target of the item before it
            place = upto[users] - 1 - (ends - self.lengths)
            here = (rationale[users] >= 0) & (place >= 0) & (place < self.lengths)
            place, rows = np.where(here, place, -1), np.where(here, rationale[users], -1)
            target = ends - self.lengths + place + 1
            check_upto(sequences, users[here], upto[users[here]], target[here])
        arrays = (items, targets, place, rows)
        self.items, self.targets, self.place, self.rows = map(torch.from_numpy, arrays)

    def __len__(self) -> int:
        return len(self.items)

    def batches(self, size: int, generator: torch.Generator, device: torch.device | str = "cpu") -> Iterator[Batch]:
        """One epoch in random order.

        Long and short sequences share a batch. Batches of like length would hold less padding, but each would pull the
        weights towards its own length; `by_length` saves the padding without that.
        """
        for part in torch.randperm(len(self), generator=generator).split(size):
            width = int(self.lengths[part.numpy()].max())
            tensors = (self.items[part, :width], self.targets[part, :width], self.place[part], self.rows[part])
            yield Batch(*(tensor.to(device) for tensor in tensors))


def by_length(lengths: torch.Tensor) -> Iterator[tuple[torch.Tensor, int]]:
    """(B,) lengths → rows whose lengths are alike, and the width that these rows need."""
    group = torch.bucketize(lengths, torch.tensor(WIDTHS, device=lengths.device))
    for number in group.unique():
        rows = (group == number).nonzero()[:, 0]
        yield rows, int(lengths[rows].max())


def check_upto(sequences: Sequences, users: np.ndarray, upto: np.ndarray, target: np.ndarray) -> None:
    """The leakage rule: a rationale may score the item at 0-based position `target` only if it saw at most that many.

    Raises:
        SlimError: one that saw its target, with its user.
    """
    bad = np.flatnonzero(upto > target)
    if len(bad):
        n = bad[0]
        raise SlimError(
            f"Leakage: the rationale of user {sequences.users[users[n]]} saw {upto[n]} items and would score item "
            f"{target[n]}, counted from 0. Use one that was written from at most {target[n]} items."
        )
