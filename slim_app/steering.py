"""Steering: rank again by an edited rationale. The encoder reads what changed; no language model takes part.

What a weight means. Let s(S) be the scores when exactly the segments S are kept. With weights w_j and the largest of
them W, every level t from 0 to W keeps the segments of weight t or more, and the score is the mean over all levels:

    s(w) = 1/W ∫_0^W s({j : w_j >= t}) dt

All at 1 is the rationale as written; 0 leaves a segment out exactly; one segment at 0.5 stands half way between the
scores with it and without it; one at 2, the others at 1, is the mean of the scores of all and of it alone. Only ratios
count, and scores move without jumps (1/W of the Lovász extension of s). With w_(1) >= w_(2) >= … the sorted weights,

- late interaction becomes a weighted mean of maxima: score_i = Σ_l (w_(l) - w_(l+1)) / W · max_{j <= l} cos(j, i);
- the pooled vector (Eq. 5, 7) becomes a weighted mean of vectors, each of the rationale reduced to its l heaviest
  segments: s_u = Σ_l (w_(l) - w_(l+1)) / W · TextEncoder(r_u|l).

Purchases that rank beside the text are not weighted: they take part at every level, and W is at least their own 1.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.ranks import Board, Shift
from slim_app.rationale_edits import Edits, Part, Parts, as_rationale
from slim_app.recommenders.rank import check_k, rank
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Evidence, Item, Rationale, Recommendation

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

MOST_SHIFTS = 5
"""Items named of those that a segment lifts, and of those that it sinks."""
Score = Callable[[Parts], np.ndarray]


@dataclass(frozen=True)
class Influence:
    """What one segment does to the list, by an exact re-scoring without it (with it, for one that is struck out)."""

    part: Part
    lifted: tuple[Shift, ...] = ()
    """Items of either list that stand higher with the segment (`after`) than without it (`before`), most first."""
    sank: tuple[Shift, ...] = ()
    alone: bool = False
    """True when nothing else is left to rank by, so that there is nothing to compare with."""


@dataclass(frozen=True)
class Steered:
    """The list under the edited rationale. The first state has no `influences` and no evidence yet, the second both."""

    recommendations: tuple[Recommendation, ...]
    shifts: tuple[Shift, ...]
    """For each recommendation its rank under the rationale as written and now."""
    left: tuple[Shift, ...]
    """Items of the list as written that are not among the first k any more."""
    parts: Parts
    influences: tuple[Influence, ...] = ()
    seconds: float = 0.0
    """Since the edit arrived."""
    ranks_are_floors: bool = False
    """True in a catalogue that is searched approximately: ranks beyond the list may be lower still."""
    done: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `/steer`."""
        return {
            "recommendations": [
                asdict(r) | {"before": s.before, "delta": s.delta}
                for r, s in zip(self.recommendations, self.shifts, strict=True)
            ],
            "left": [s.as_dict() for s in self.left],
            "segments": [asdict(p) | {"marks": list(p.marks)} for p in self.parts],
            "influences": [
                {"key": i.part.key, "text": i.part.text, "struck": i.part.weight == 0, "alone": i.alone,
                 "lifted": [s.as_dict() for s in i.lifted], "sank": [s.as_dict() for s in i.sank]}
                for i in self.influences
            ],
            "seconds": round(self.seconds, 4),
            "ranks_are_floors": self.ranks_are_floors,
        }  # fmt: skip


def levels(parts: Sequence[Part], least: float = 0.0) -> list[tuple[Parts, float]]:
    """The segments S that each level of s(w) keeps, with its share of the mean; `least` as in `weighted`."""
    found = sorted({part.weight for part in parts if part.weight > 0} | ({least} if least else set()), reverse=True)
    return [
        (tuple(part for part in parts if part.weight >= level), (level - below) / found[0])
        for level, below in zip(found, [*found, 0.0][1:], strict=True)
    ]


def weighted(parts: Sequence[Part], score: Score, least: float = 0.0) -> np.ndarray:
    """(n,) s(w) as this module defines it.

    Args:
        score: s(S) for some of the parts, in their order; asked once for each distinct weight.
        least: weight of what ranks beside the parts: 1 with purchases, 0 without.

    Raises:
        SlimError: everything is struck out and nothing else ranks.
    """
    shares = levels(parts, least)
    if not shares:
        raise SlimError("Everything is struck out, so nothing is left to rank by. Take a sentence in again, or undo.")
    if len(shares) == 1:  # exact, without rounding
        return score(shares[0][0])
    total: np.ndarray | float = 0.0
    for kept, share in shares:
        total = total + share * score(kept)
    return total


def steer(
    edits: Edits, history: Sequence[Item], domain: Domain, ranker: Ranker | TrainedRanker, encoder: TextEncoder, k: int
) -> Iterator[Steered]:
    """The re-ranked list at once, then the same with the evidence of each item and the influence of each segment.

    Raises:
        SlimError: a bad k, a ranker that reads no rationale, or nothing left to rank by.
    """
    begun = time.perf_counter()
    k = check_k(k)
    if not ranker.uses_rationale:
        raise SlimError("This ranking does not read the reasoning, so there is nothing to steer. Choose another one.")
    session = _Session(edits, history, domain, ranker, encoder, k)
    first = session.ranked(begun)
    yield first
    yield session.explained(first, begun)


class _Session:
    """One re-ranking: the board, and the scores of each subset of segments that was needed so far."""

    def __init__(self, edits: Edits, history, domain: Domain, ranker, encoder: TextEncoder, k: int) -> None:
        told = [(history, as_rationale(parts)) for parts in (edits.start, edits.now)]
        self.board = Board(domain, ranker, encoder, history, told)
        self.edits, self.history, self.k = edits, history, k
        purchases, _ = ranker.segments(history, Rationale())
        self.least = 1.0 if purchases else 0.0
        self._known: dict[tuple[tuple[int, str], ...], np.ndarray] = {}

    def score(self, parts: Parts) -> np.ndarray:
        key = tuple((part.step, part.text) for part in parts)
        if key not in self._known:
            self._known[key] = self.board.scores(self.history, as_rationale(parts))
        return self._known[key]

    def of(self, parts: Sequence[Part]) -> np.ndarray | None:
        """Scores under these weights; None when nothing is left to rank by."""
        if not self.least and not any(part.weight for part in parts):
            return None
        return weighted(parts, self.score, self.least)

    def ranked(self, begun: float) -> Steered:
        board, edits, k = self.board, self.edits, self.k
        self.scores = weighted(edits.now, self.score, self.least)
        self.ranks = board.ranks(self.scores)
        before = board.ranks(self.score(edits.start))
        self.top = board.top(self.ranks, k)
        found = []
        for place, column in enumerate(self.top, start=1):
            item, score = board.item(column), round(float(self.scores[column]), 4)
            found.append(Recommendation(place, item.id, item.title, score, item.brand, item.category))
        return Steered(
            recommendations=tuple(found),
            shifts=tuple(board.shift(column, before, self.ranks) for column in self.top),
            left=tuple(board.shift(c, before, self.ranks) for c in board.top(before, k) if self.ranks[c] > k),
            parts=edits.now,
            seconds=time.perf_counter() - begun,
            ranks_are_floors=board.approximate,
        )

    def explained(self, first: Steered, begun: float) -> Steered:
        parts = self.edits.now
        changed = [[replace(p, weight=_other(p)) if p is part else p for p in parts] for part in parts]
        told = (as_rationale(kept) for some in changed for kept, _ in levels(some, self.least))
        self.board.prepare([(self.history, rationale) for rationale in told])
        others = [self.of(some) for some in changed]
        influences = tuple(map(self._influence, parts, others))
        if all(part.weight in (0, 1) for part in parts):
            found = self._house_evidence(first.recommendations)
        else:
            found = self._weighted_evidence(first.recommendations, others)
        seconds = time.perf_counter() - begun
        return replace(first, recommendations=found, influences=influences, seconds=seconds, done=True)

    def _influence(self, part: Part, other: np.ndarray | None) -> Influence:
        if other is None:
            return Influence(part, alone=True)
        without, with_it = self.board.ranks(other), self.ranks
        if part.weight == 0:
            without, with_it = with_it, without
        seen = np.union1d(self.board.top(without, self.k), self.board.top(with_it, self.k))
        moved = [self.board.shift(column, without, with_it) for column in seen if without[column] != with_it[column]]
        moved.sort(key=lambda shift: (-abs(shift.delta), shift.after))
        lifted, sank = ([s for s in moved if (s.delta > 0) == up][:MOST_SHIFTS] for up in (True, False))
        return Influence(part, tuple(lifted), tuple(sank))

    def _house_evidence(self, recommendations: tuple[Recommendation, ...]) -> tuple[Recommendation, ...]:
        """Of an unweighted text, the evidence is what any other list shows; its segments go by their keys here."""
        board, kept = self.board, [part for part in self.edits.now if part.weight]
        keys: dict[tuple[int, int], str] = {}
        for part in kept:
            keys[part.step, sum(step == part.step for step, _ in keys)] = part.key
        names = {segment.key: keys[segment.step, segment.index] for segment in as_rationale(kept).segments()}
        listed = rank(self.history, as_rationale(kept), board.domain, board.encoder, board.ranker, self.k)
        by_id = {r.id: r for r in listed}
        found = []
        for recommendation in recommendations:
            same = by_id.get(recommendation.id)  # an approximate index may have looked elsewhere for it
            if same and same.evidence:
                evidence = replace(same.evidence, key=names.get(same.evidence.key, same.evidence.key))
                recommendation = replace(
                    recommendation, evidence=evidence, rank_sequence=same.rank_sequence,
                    rank_reasoning=same.rank_reasoning,
                )  # fmt: skip
            found.append(recommendation)
        return tuple(found)

    def _weighted_evidence(self, recommendations: tuple[Recommendation, ...], others: list[np.ndarray | None]):
        """The segment without which the item's score falls most; of several equal ones, the most similar."""
        active = [n for n, part in enumerate(self.edits.now) if part.weight]
        if not active:
            return recommendations  # the purchases alone rank
        parts, without = [self.edits.now[n] for n in active], [others[n] for n in active]
        similarity = self.board.encoder.encode([part.text for part in parts]) @ self.board.vectors[self.top].T
        alone = np.full(len(self.top), np.inf)
        losses = np.array([alone if scores is None else (self.scores - scores)[self.top] for scores in without])
        found = []
        for column, recommendation in enumerate(recommendations):
            most = losses[:, column].max()
            if most <= 0 and self.least:  # the purchases carry it, no single segment does
                found.append(recommendation)
                continue
            winner = int(np.where(losses[:, column] >= most, similarity[:, column], -np.inf).argmax())
            part, left = parts[winner], without[winner]
            last = None if left is None else int(self.board.ranks(left)[self.top[column]])
            cosine = round(float(similarity[winner, column]), 4)
            evidence = Evidence(part.key, part.step, part.text, cosine, last, self.board.approximate)
            found.append(replace(recommendation, evidence=evidence))
        return tuple(found)


def _other(part: Part) -> float:
    """The weight to compare with: out where it is in, as written where it is struck out."""
    return 0.0 if part.weight > 0 else 1.0
