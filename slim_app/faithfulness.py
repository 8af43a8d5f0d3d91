"""Faithfulness of one list's evidence, by exact re-scoring (CountER, arXiv 2108.10539; METHOD, "Faithfulness")."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.ranks import Board
from slim_app.rationale_edits import Part, as_rationale
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Item, Rationale, Recommendation, shown

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker


@dataclass(frozen=True)
class Tested:
    """One explained item: its rank as listed, without its evidence, and by its evidence alone."""

    id: str
    title: str
    key: str
    """The segment that is its evidence."""
    rank: int
    rank_without: int | None
    """None when nothing is left to rank by: then it leaves the list, too."""
    rank_only: int


@dataclass(frozen=True)
class Faithfulness:
    """PN: share of explained items that leave the first k without their evidence. PS: share that stay by it alone."""

    k: int
    items: tuple[Tested, ...]
    ranks_are_floors: bool = False
    """True in a catalogue that is searched approximately."""

    @property
    def pn(self) -> float:
        return _share(item.rank_without is None or item.rank_without > self.k for item in self.items)

    @property
    def ps(self) -> float:
        return _share(item.rank_only <= self.k for item in self.items)

    @property
    def f(self) -> float:
        """Harmonic mean of PN and PS; 0 when both are."""
        return 2 * self.pn * self.ps / (self.pn + self.ps) if self.pn + self.ps else 0.0

    def as_dict(self) -> dict[str, Any]:
        return {
            "k": self.k,
            "explained": len(self.items),
            "PN": round(self.pn, 4),
            "PS": round(self.ps, 4),
            "F": round(self.f, 4),
            "items": [asdict(item) for item in self.items],
            "ranks_are_floors": self.ranks_are_floors,
        }


def faithfulness(
    recommendations: Sequence[Recommendation],
    history: Sequence[Item],
    rationale: Rationale,
    domain: Domain,
    ranker: Ranker | TrainedRanker,
    encoder: TextEncoder,
) -> Faithfulness:
    """Re-scores the catalogue without each item's evidence and by it alone; k is the length of the list.

    With a ranker whose segments include purchases, these are left out and kept like the text's; otherwise the history
    stays as it is. Items without evidence are not counted.

    Raises:
        SlimError: no item has evidence, or evidence that is no segment of this rationale and history.
    """
    explained = [r for r in recommendations if r.evidence]
    if not explained:
        raise SlimError("No product of this list has evidence to test. Run a ranking first.")
    read = shown(history)
    segments, _ = ranker.segments(read, rationale)
    unknown = next((r.evidence for r in explained if r.evidence.key not in {s.key for s in segments}), None)
    if unknown:
        raise SlimError(f"The evidence “{unknown.text[:60]}” is no part of this text and history. Rank it again.")
    board = Board(domain, ranker, encoder, history, [(read, rationale)])
    purchases_rank = any(segment.step == 0 for segment in segments)

    def ranks(keep: Callable[[str], bool]) -> np.ndarray | None:
        kept = [segment for segment in segments if keep(segment.key)]
        if not kept:
            return None
        parts = [Part(s.key, s.step, s.text) for s in kept if s.step]
        bought = [read[s.index] for s in kept if s.step == 0] if purchases_rank else read
        return board.ranks(board.scores(bought, as_rationale(parts)))

    columns = {board.item(column).id: column for column in range(len(board.rows))}
    without, only = {}, {}
    for key in {r.evidence.key for r in explained}:
        without[key], only[key] = ranks(lambda other, key=key: other != key), ranks(lambda other, key=key: other == key)
    tested = []
    for r in explained:
        key, column = r.evidence.key, columns[r.id]
        left = without[key]
        rank_without = None if left is None else int(left[column])
        tested.append(Tested(r.id, r.title, key, r.rank, rank_without, int(only[key][column])))
    return Faithfulness(len(recommendations), tuple(tested), board.approximate)


def _share(flags) -> float:
    found = list(flags)
    return sum(found) / len(found)
