"""Ranks of a whole catalogue under any ranker, comparable between one rationale or history and another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.recommenders.sides import rank_all
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Item, Rationale

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

Told = tuple[Sequence[Item], Rationale]
"""A history and what was written about it."""


@dataclass(frozen=True)
class Shift:
    """One item's 1-based rank among all items that may be recommended, before and after a change."""

    id: str
    title: str
    before: int
    after: int

    @property
    def delta(self) -> int:
        """Places risen; negative when it sank."""
        return self.before - self.after

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"delta": self.delta}


class Board:
    """The items that may be recommended, and their scores and ranks under one ranker.

    Args:
        bought: purchases that are left out of every ranking. Two rankings of one board rank the same items.
        told: what will be ranked by: an approximate index looks near all of it.
    """

    def __init__(
        self, domain: Domain, ranker: Ranker | TrainedRanker, encoder: TextEncoder, bought: Sequence[Item],
        told: Sequence[Told],
    ) -> None:  # fmt: skip
        self.domain, self.ranker, self.encoder = domain, ranker, encoder
        self.rows = np.arange(len(domain.catalog))
        self.vectors = domain.vectors
        self.approximate = isinstance(ranker, Ranker) and bool(domain.index.approximate)
        """True in a catalogue so large that only near items are ranked: then all ranks are lower bounds."""
        if self.approximate:
            found = [ranker.queries(*ranker.segments(history, rationale), encoder) for history, rationale in told]
            self.rows = domain.index.candidates(np.concatenate(found))
            self.vectors = domain.vectors[self.rows]
        self.leave_out(bought)

    def leave_out(self, bought: Sequence[Item]) -> None:
        """From now on, rank without these."""
        self.allowed = ~self.domain.catalog.mask(bought)[self.rows]

    def item(self, column: int) -> Item:
        """The item of a column of scores and ranks."""
        return self.domain.catalog.items[self.rows[column]]

    def scores(self, history: Sequence[Item], rationale: Rationale) -> np.ndarray:
        """(n,) the ranker's scores, higher is better; bought items have theirs, too.

        Raises:
            SlimError: there is nothing to rank by.
        """
        if isinstance(self.ranker, Ranker):
            return self.ranker.scores(history, rationale, self.vectors, self.encoder)
        return self.ranker.scores(history, rationale, self.encoder)

    def prepare(self, told: Sequence[Told]) -> None:
        """Encode together what scores of these will read, which is faster than one after the other."""
        if isinstance(self.ranker, Ranker):
            self.encoder.encode(list(dict.fromkeys(text for one in told for text in self.ranker.reads(*one))))

    def ranks(self, scores: np.ndarray) -> np.ndarray:
        """(n,) scores → 1-based ranks, 0 for what was bought; of equal ones the earlier item comes first."""
        return rank_all(scores, self.allowed)

    def top(self, ranks: np.ndarray, k: int) -> np.ndarray:
        """Columns of the first k, best first; fewer where fewer may be recommended."""
        columns = np.flatnonzero((ranks >= 1) & (ranks <= k))
        return columns[np.argsort(ranks[columns])]

    def shift(self, column: int, before: np.ndarray, after: np.ndarray) -> Shift:
        """One item's move between two rankings."""
        item = self.item(column)
        return Shift(item.id, item.title, int(before[column]), int(after[column]))
