"""A fused score taken apart: what the purchases say, what the reasoning adds, and any other weight between the two.

The score of a fused recommender is a sum (`gated`: s^SeqEnc · z_i + gate · max_j t_j · z_i; Eq. 6 is linear, too), so
each side can be ranked alone, and the sum can be weighed anew without asking any model again.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

FAR = 2
"""“Far down”: below rank FAR · k."""


def rank_all(scores: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """(n,) 1-based rank of each allowed item, 0 for the others; of equal ones the earlier item comes first."""
    rows = np.flatnonzero(allowed)
    ranks = np.zeros(len(scores), int)
    ranks[rows[np.lexsort((rows, -scores[rows]))]] = np.arange(1, len(rows) + 1)
    return ranks


@dataclass(frozen=True)
class Sides:
    """The two sides of a fused score over n items; their sum is that score."""

    sequence: np.ndarray
    """(n,) by the purchases alone: the recommender's score without a rationale."""
    reasoning: np.ndarray
    """(n,) what the rationale adds to that, its learned gate included."""

    @cached_property
    def spreads(self) -> tuple[float, float]:
        """Standard deviation of each side over the items: how much it can move them."""
        return float(self.sequence.std()), float(self.reasoning.std())

    @property
    def learned(self) -> float:
        """The reasoning's share of the two spreads, 0 to 1: the weight at which `mix` is the fused score itself."""
        total = sum(self.spreads)
        return self.spreads[1] / total if total else 0.5

    def nearly_learned(self, weight: float | None) -> float | None:
        """None for a weight that is the learned one but for rounding to a percent."""
        return None if weight is None or abs(weight - self.learned) <= 0.005 else weight

    def factors(self, weight: float | None) -> tuple[float, float]:
        """What `mix` multiplies each side with; (1, 1) for the learned weight, and for None."""
        if weight is None:
            return 1.0, 1.0
        total = sum(self.spreads)
        sequence, reasoning = (share * total / spread if spread else 0.0
                               for share, spread in zip((1 - weight, weight), self.spreads, strict=True))  # fmt: skip
        return sequence, reasoning

    def mix(self, weight: float | None) -> np.ndarray:
        """(n,) (1 - weight) · sequence + weight · reasoning, both in standard deviations; scaled and shifted so that
        the learned weight gives the fused score. 0 ranks by the purchases alone, 1 by the reasoning alone."""
        sequence, reasoning = self.factors(weight)
        return sequence * self.sequence + reasoning * self.reasoning


@dataclass(frozen=True)
class LensRow:
    """One item's ranks, 1-based, among the items that were not bought."""

    row: int
    """Row of the catalogue."""
    here: int
    """By the mix that is looked at."""
    sequence: int
    """By the purchases alone."""
    reasoning: int
    """By the reasoning alone."""


@dataclass(frozen=True)
class Lens:
    """What the reasoning does to a list of k items."""

    weight: float
    learned: float
    total: int
    """How many items are ranked."""
    top: tuple[LensRow, ...]
    """The first k here."""
    rescued: tuple[LensRow, ...]
    """Of these, the ones below rank FAR · k by the purchases alone; first here first."""
    hurt: tuple[LensRow, ...]
    """Among the first k by the purchases alone, but below rank FAR · k here; first by the purchases first."""


def look(sides: Sides, allowed: np.ndarray, k: int, weight: float | None = None) -> Lens:
    """The lens at a weight from 0 to 1; None = the learned one.

    Args:
        allowed: (n,) bool, False for what was bought.
        k: length of the list.
    """
    here, sequence, reasoning = (
        rank_all(scores, allowed) for scores in (sides.mix(weight), sides.sequence, sides.reasoning)
    )

    def rows(chosen: np.ndarray, order: np.ndarray) -> tuple[LensRow, ...]:
        found = np.flatnonzero(chosen & allowed)
        return tuple(
            LensRow(int(row), int(here[row]), int(sequence[row]), int(reasoning[row]))
            for row in found[np.argsort(order[found])]
        )

    return Lens(
        weight=sides.learned if weight is None else weight, learned=sides.learned, total=int(allowed.sum()),
        top=rows(here <= k, here), rescued=rows((here <= k) & (sequence > FAR * k), here),
        hurt=rows((sequence <= k) & (here > FAR * k), sequence),
    )  # fmt: skip
