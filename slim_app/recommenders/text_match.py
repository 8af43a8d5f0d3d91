"""ID-agnostic text matching (Eq. 7, untrained: g_t = identity): rationale segments against item texts.

Four ways to score, one way to explain: each gives, besides the scores, the scores *without each segment*,
so evidence is an exact re-scoring whatever the ranker (ablation; cf. PN in CountER, arXiv 2108.10539).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.rationale import format_rationale
from slim_app.recommenders.sides import Sides
from slim_app.schema import Item, Rationale, Segment, shown

if TYPE_CHECKING:
    from slim_app.domain import Domain

HISTORY_STEP = 0


@dataclass(frozen=True)
class Scored:
    """Scores of n candidate items by m segments."""

    scores: np.ndarray
    """(n,) float32, higher is better."""
    without: np.ndarray
    """(m, n): the scores were segment j left out; rows of -inf where nothing else would be left."""
    similarity: np.ndarray
    """(m, n): cosine of segment j and the item."""
    winner: np.ndarray
    """(n,) index of the segment that carries the item's score most."""
    sides: Sides | None = None
    """What a fused score is the sum of."""


def purchases(history: Sequence[Item]) -> list[Segment]:
    """The shown history as segments of step 0."""
    return [Segment(HISTORY_STEP, index, item.title) for index, item in enumerate(shown(history))]


def late_interaction(
    segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder
) -> Scored:
    """score_i = max_j cos(segment_j, item_i): the nearest segment decides, and is the evidence."""
    similarity = encoder.encode(texts) @ items.T  # (m, n)
    winner = similarity.argmax(axis=0)
    scores = similarity.max(axis=0)
    # Without its winner an item falls back on its second best segment; without any other, nothing changes.
    without = np.repeat(scores[None], len(segments), axis=0)
    if len(segments) > 1:
        second = np.partition(similarity, -2, axis=0)[-2]
        columns = np.arange(items.shape[0])
        without[winner, columns] = second
    else:
        without[:] = -np.inf
    return Scored(scores, without, similarity, winner)


def pooled(segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder) -> Scored:
    """The paper's form: one vector for the whole rationale, s_u = TextEncoder(r_u) (Eq. 5), score = dot product.

    Dropping a segment means encoding the rationale again without it: m further encodings, exact.
    """
    variants = [_text_of(segments)] + [_text_of([s for s in segments if s is not out]) for out in segments]
    vectors = encoder.encode(variants)
    scores = vectors[0] @ items.T
    without = vectors[1:] @ items.T
    if len(segments) == 1:
        without[:] = -np.inf
    similarity = encoder.encode(texts) @ items.T
    return Scored(scores, without, similarity, without.argmin(axis=0))


def history_mean(segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder) -> Scored:
    """No language model: cosine with the mean of the purchases' vectors, the honest baseline."""
    vectors = encoder.encode(texts)
    similarity = vectors @ items.T
    total = vectors.sum(axis=0)
    scores = _unit(total) @ items.T
    if len(segments) > 1:
        without = np.stack([_unit(total - vector) for vector in vectors]) @ items.T
    else:
        without = np.full((1, items.shape[0]), -np.inf, np.float32)
    return Scored(scores, without, similarity, without.argmin(axis=0))


def _nearest(segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder) -> np.ndarray:
    return (encoder.encode(texts) @ items.T).max(axis=0)


def _whole(segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder) -> np.ndarray:
    return encoder.encode([_text_of(segments)])[0] @ items.T


def _mean(segments: Sequence[Segment], texts: Sequence[str], items: np.ndarray, encoder: TextEncoder) -> np.ndarray:
    return _unit(encoder.encode(texts).sum(axis=0)) @ items.T


Scorer = Callable[[Sequence[Segment], Sequence[str], np.ndarray, TextEncoder], Scored]
SCORES_ONLY: dict[Scorer, Callable[[Sequence[Segment], Sequence[str], np.ndarray, TextEncoder], np.ndarray]] = {
    late_interaction: _nearest, pooled: _whole, history_mean: _mean,
}  # fmt: skip
"""The scores of each scorer without the evidence, for evaluations of thousands of users."""


@dataclass(frozen=True)
class Ranker:
    """How scores come about: which segments take part, and how they are put together."""

    name: str
    scorer: Scorer
    uses_rationale: bool
    uses_history: bool

    def segments(self, history: Sequence[Item], rationale: Rationale) -> tuple[list[Segment], list[str]]:
        """The segments that rank and the text of each that the encoder reads (Eq. 5)."""
        written = list(rationale.segments()) if self.uses_rationale else []
        bought = purchases(history) if self.uses_history else []
        texts = [s.text for s in written] + ([item.text for item in shown(history)] if bought else [])
        return written + bought, texts

    def notes(self, history: Sequence[Item]) -> tuple[str, ...]:
        """What must stand beside the list: nothing, since no training took part."""
        return ()

    def over(
        self, history: Sequence[Item], rationale: Rationale, domain: Domain, encoder: TextEncoder
    ) -> tuple[np.ndarray, list[Segment], Scored]:
        """Rows of the catalogue that are worth scoring, what ranks them, and their scores with evidence.

        Raises:
            SlimError: as `score`.
        """
        segments, texts = self.segments(history, rationale)
        if domain.index.approximate and segments:
            rows = domain.index.candidates(self.queries(segments, texts, encoder))
            vectors = domain.vectors[rows]
        else:
            rows, vectors = np.arange(len(domain.catalog)), domain.vectors
        return rows, segments, self.score(history, rationale, vectors, encoder)

    def queries(self, segments: Sequence[Segment], texts: Sequence[str], encoder: TextEncoder) -> np.ndarray:
        """(q, d) vectors near which an approximate index must look, so that the best items are among its candidates."""
        whole = [_text_of(segments)] if self.scorer is pooled else []
        return encoder.encode([*texts, *whole])

    def reads(self, history: Sequence[Item], rationale: Rationale) -> list[str]:
        """The texts that `scores` has encoded: encoded together beforehand, they come from the encoder's memory."""
        segments, texts = self.segments(history, rationale)
        return [_text_of(segments)] if self.scorer is pooled else texts

    def scores(
        self, history: Sequence[Item], rationale: Rationale, items: np.ndarray, encoder: TextEncoder
    ) -> np.ndarray:
        """(n,) `score(...).scores`, without the cost of the evidence.

        Raises:
            SlimError: as `score`.
        """
        segments, texts = self._needed(history, rationale)
        return SCORES_ONLY[self.scorer](segments, texts, items, encoder)

    def score(self, history: Sequence[Item], rationale: Rationale, items: np.ndarray, encoder: TextEncoder) -> Scored:
        """Scores and evidence for the given item vectors (n, d).

        Raises:
            SlimError: there is nothing to rank by (no text yet, no history).
        """
        segments, texts = self._needed(history, rationale)
        return self.scorer(segments, texts, items, encoder)

    def _needed(self, history: Sequence[Item], rationale: Rationale) -> tuple[list[Segment], list[str]]:
        segments, texts = self.segments(history, rationale)
        if not segments:
            raise SlimError("There is nothing to rank by: neither reasoning nor purchases. Add a purchase or a text.")
        return segments, texts


RANKERS = {
    ranker.name: ranker
    for ranker in (
        Ranker("reasoning", late_interaction, uses_rationale=True, uses_history=False),
        Ranker("reasoning+history", late_interaction, uses_rationale=True, uses_history=True),
        Ranker("pooled", pooled, uses_rationale=True, uses_history=False),
        Ranker("history", history_mean, uses_rationale=False, uses_history=True),
    )
}
DEFAULT_RANKER = "reasoning"


def get_ranker(name: str) -> Ranker:
    """Raises SlimError for an unknown name, listing the known ones."""
    if not isinstance(name, str) or name not in RANKERS:
        raise SlimError(f"Unknown ranker “{str(name)[:40]}”. Choose one of: {', '.join(RANKERS)}.")
    return RANKERS[name]


def _unit(vector: np.ndarray) -> np.ndarray:
    norm = float(np.linalg.norm(vector))
    return vector / norm if norm else vector


def _text_of(segments: Sequence[Segment]) -> str:
    """The canonical rationale text of some segments."""
    parts = [[s.text for s in segments if s.step == step] for step in (1, 2, 3)]
    return format_rationale(" ".join(parts[0]), parts[1], parts[2])
