"""From scores to the list a person sees. Top-k, filtering and evidence exist here once: online = offline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Evidence, Item, Rationale, Recommendation

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

MAX_K = 100


def check_k(k: int) -> int:
    """k as a whole number in 1..100, or a SlimError that says so."""
    if isinstance(k, bool) or not isinstance(k, (int, float)) or not 1 <= k <= MAX_K or int(k) != k:
        raise SlimError(f"k is how many products to show: a whole number from 1 to {MAX_K}, not “{str(k)[:40]}”.")
    return int(k)


def rank(
    history: Sequence[Item], rationale: Rationale, domain: Domain, encoder: TextEncoder,
    ranker: Ranker | TrainedRanker, k: int,
) -> tuple[Recommendation, ...]:
    """The top k items that were not bought, each with the segment that put it there.

    Raises:
        SlimError: k out of range, or nothing to rank by.
    """
    k = check_k(k)
    rows, segments, scored = ranker.over(history, rationale, domain, encoder)
    allowed = ~domain.catalog.mask(history)[rows]
    scores = np.where(allowed, scored.scores, -np.inf)
    k = min(k, int(allowed.sum()))
    # ties go to the earlier item, so the same input always gives the same list
    top = np.lexsort((rows, -scores))[:k]
    found = []
    for position, column in enumerate(top, start=1):
        item, winner = domain.catalog.items[rows[column]], int(scored.winner[column])
        without = scored.without[winner]
        left = without[column]
        segment = segments[winner]
        evidence = Evidence(
            key=segment.key,
            step=segment.step,
            text=segment.text,
            similarity=round(float(scored.similarity[winner, column]), 4),
            rank_without=_rank_of(without, allowed, column) if np.isfinite(left) else None,
            rank_without_is_floor=len(rows) < len(domain.catalog),
        )
        sides = [scored.sides.sequence, scored.sides.reasoning] if scored.sides else []
        alone = [_rank_of(side, allowed, column) for side in sides] or (None, None)
        score = round(float(scored.scores[column]), 4)
        found.append(Recommendation(position, item.id, item.title, score, item.brand, item.category, evidence, *alone))
    return tuple(found)


def _rank_of(scores: np.ndarray, allowed: np.ndarray, column: int) -> int:
    """1-based rank of one item among the allowed ones; ties go to the earlier item, as in `rank`."""
    better = (scores > scores[column]) & allowed
    tied_before = (scores[:column] == scores[column]) & allowed[:column]
    return int(better.sum() + tied_before.sum()) + 1
