"""What votes on pairs of writers add up to, with an interval."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Z95 = 1.959964
"""The normal distribution's 97.5 % point."""


@dataclass(frozen=True)
class Tally:
    """The votes on one pair of writers, whichever side each was shown on."""

    first: str
    second: str
    blind: bool
    """Votes with and without hidden names are counted apart: a name sways."""
    wins_first: int
    wins_second: int
    ties: int
    both_bad: int

    @property
    def n(self) -> int:
        """All votes."""
        return self.decided + self.ties + self.both_bad

    @property
    def decided(self) -> int:
        """Votes for one of the two: what the win rate is taken of."""
        return self.wins_first + self.wins_second

    @property
    def win_rate(self) -> float | None:
        """Of the first writer, without ties; None where nobody decided."""
        return self.wins_first / self.decided if self.decided else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of the win rate (`wilson`)."""
        return wilson(self.wins_first, self.decided) if self.decided else None

    def as_dict(self) -> dict[str, object]:
        """As JSON has it."""
        low, high = self.interval or (None, None)
        return {
            "first": self.first, "second": self.second, "blind": self.blind, "wins_first": self.wins_first,
            "wins_second": self.wins_second, "ties": self.ties, "both_bad": self.both_bad, "n": self.n,
            "decided": self.decided, "win_rate_first": self.win_rate, "low": low, "high": high,
            "interval": "Wilson score, 95 %, of the votes that decided",
        }  # fmt: skip


def add_up(counts: Iterable[tuple[str, str, bool, str, int]]) -> list[Tally]:
    """One tally for each pair of writers and each way of voting, most votes first.

    Args:
        counts: who A and B were, whether names were hidden, the verdict, and how many votes.
    """
    pairs: dict[tuple[str, str, bool], Counter[str]] = {}
    for a, b, blind, verdict, n in counts:
        first, second = sorted((a, b))
        if a != first:
            verdict = {"A": "B", "B": "A"}.get(verdict, verdict)
        pairs.setdefault((first, second, blind), Counter())[verdict] += n
    found = [Tally(*pair, *(count[verdict] for verdict in ("A", "B", "tie", "both_bad")))
             for pair, count in pairs.items()]  # fmt: skip
    return sorted(found, key=lambda tally: (-tally.n, tally.first, tally.second))


def wilson(wins: int, n: int, z: float = Z95) -> tuple[float, float]:
    """The score interval for a share of n > 0 (E. B. Wilson, JASA 22 (1927) 209-212): sound for few votes, too."""
    share, square = wins / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
