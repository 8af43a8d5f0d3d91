"""A trained recommender as a ranker of the app: new histories, typed in by anybody, and exact evidence for each item.

What is read of a history are the purchases that the catalogue knows: a sequence model has no ID for anything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.recommenders.checkpoint import TrainedRecommender
from slim_app.recommenders.fused import scores as best_of
from slim_app.recommenders.fused import segment_scores
from slim_app.recommenders.rationale_vectors import rationale_vectors
from slim_app.recommenders.sides import Sides
from slim_app.recommenders.text_match import Scored, purchases
from slim_app.schema import Item, Rationale, Segment, shown

if TYPE_CHECKING:
    from slim_app.domain import Domain


@dataclass(frozen=True)
class TrainedRanker:
    """`fused` (purchases and rationale) or `sequence` (the same model without the rationale).

    A fused score is the sum of two sides; `weight` weighs them anew (see `Sides`), None leaves them as learned. A
    person none of whose purchases the catalogue knows has the rationale's side only, and `notes` says so.
    """

    name: str
    model: TrainedRecommender
    row_of_id: dict[str, int]
    backbone: str
    trained_on: str
    weight: float | None = None
    uses_history = True

    @property
    def uses_rationale(self) -> bool:
        return self.name == "fused"

    def known(self, history: Sequence[Item]) -> dict[Segment, int]:
        """The shown purchases that the catalogue knows, each with its row."""
        bought = shown(history)
        rows = {segment: self.row_of_id.get(bought[segment.index].id) for segment in purchases(history)}
        return {segment: row for segment, row in rows.items() if row is not None}

    def notes(self, history: Sequence[Item]) -> tuple[str, ...]:
        """What must stand beside the list.

        Raises:
            SlimError: `sequence`, and the catalogue knows none of the purchases.
        """
        known, count = len(self.known(history)), len(shown(history))
        said = [f"{self.backbone} was trained on {self.trained_on}."]
        none = f"{self.backbone} knows none of your purchases: it reads products of this catalogue only"
        if not known and not self.uses_rationale:
            raise SlimError(f"{none}. Add one of them, or let the reasoning rank.")
        if not known:
            said.append(f"{none}. The reasoning alone ranks here.")
        elif known < count:
            said.append(f"{self.backbone} knows {known} of your {count} purchases; the others have no place in it.")
        return tuple(said)

    def segments(self, history: Sequence[Item], rationale: Rationale) -> tuple[list[Segment], list[str]]:
        """What ranks, rationale first, and the text of each."""
        written, bought = self._written(rationale), list(self.known(history))
        items = shown(history)
        return written + bought, [s.text for s in written] + [items[s.index].text for s in bought]

    def scores(self, history: Sequence[Item], rationale: Rationale, encoder: TextEncoder) -> np.ndarray:
        """(n,) score of each item, higher is better; `TrainedRecommender.scores` for these purchases and this text.

        Raises:
            SlimError: there is nothing to rank by.
        """
        return self.sides(history, rationale, encoder).mix(self.weight)

    def sides(self, history: Sequence[Item], rationale: Rationale, encoder: TextEncoder) -> Sides:
        """The two sides of the score; the reasoning's is zero for `sequence`, and before anything is written.

        Raises:
            SlimError: there is nothing to rank by.
        """
        return self._sides(list(self.known(history).values()), self._vectors(self._written(rationale), encoder))

    def over(
        self, history: Sequence[Item], rationale: Rationale, domain: Domain, encoder: TextEncoder
    ) -> tuple[np.ndarray, list[Segment], Scored]:
        """Rows of the catalogue (all), what ranked them, and scores with and without each of it.

        Without a segment or a purchase everything is scored again as if it had never been there. The part whose
        removal costs an item most (in standard deviations of all scores) is its evidence.

        Raises:
            SlimError: there is nothing to rank by.
        """
        (segments, texts), written = self.segments(history, rationale), self._written(rationale)
        rows, vectors = list(self.known(history).values()), self._vectors(written, encoder)
        whole = self._sides(rows, vectors)
        factors = whole.factors(self.weight)

        def again(rows: list[int], vectors: np.ndarray | None) -> np.ndarray:
            if not rows and vectors is None:
                return np.full(len(whole.sequence), -np.inf, np.float32)
            sides = self._sides(rows, vectors)
            return factors[0] * sides.sequence + factors[1] * sides.reasoning

        found = factors[0] * whole.sequence + factors[1] * whole.reasoning
        without = [again(rows, self._vectors([s for s in written if s is not out], encoder)) for out in written]
        without += [again(rows[:n] + rows[n + 1 :], vectors) for n in range(len(rows))]
        left = np.stack(without)
        similarity = encoder.encode(texts) @ domain.vectors.T
        both = whole if self.uses_rationale and rows and vectors is not None else None
        scored = Scored(found, left, similarity, _cost(found, left).argmax(axis=0), both)
        return np.arange(len(found)), segments, scored

    def _written(self, rationale: Rationale) -> list[Segment]:
        steps = self.model.config.steps if self.uses_rationale else ()
        return [segment for segment in rationale.segments() if segment.step in steps]

    def _vectors(self, written: Sequence[Segment], encoder: TextEncoder) -> np.ndarray | None:
        """(m, d) as in training: of each segment, or of the whole text; None without a text."""
        if not written:
            return None
        kept = Rationale(*(tuple(s.text for s in written if s.step == step) for step in (1, 2, 3)))
        return rationale_vectors(kept, encoder, self.model.config.ranker, self.model.config.steps)

    @torch.inference_mode()
    def _sides(self, rows: list[int], vectors: np.ndarray | None) -> Sides:
        """Each side for catalogue rows, oldest first, and rationale vectors; without purchases the state is zero."""
        if not rows and vectors is None:
            raise SlimError("There is nothing to rank by: neither reasoning nor a purchase that the model knows.")
        inner, items = self.model.model, self.model.item_vectors
        if rows:
            newest = torch.as_tensor(rows[-self.model.config.max_length :])
            states = inner.states(newest[None])[:, -1]
        else:
            states = torch.zeros(1, self.model.config.hidden)
        alone = segment_scores(inner.queries(states), items)[0, 0]
        added = torch.zeros_like(alone)
        if vectors is not None:
            text = torch.as_tensor(np.ascontiguousarray(vectors, np.float32))[None]
            added = best_of(inner.queries(states, text), items)[0] - alone
        return Sides((alone if rows else torch.zeros_like(alone)).numpy(), added.numpy())


def _cost(scores: np.ndarray, without: np.ndarray) -> np.ndarray:
    """(m, n): by how much each item falls without each part, in standard deviations, since only order counts."""

    def standard(values: np.ndarray) -> np.ndarray:
        spread = values.std(axis=-1, keepdims=True)
        return (values - values.mean(axis=-1, keepdims=True)) / np.where(spread, spread, 1.0)

    nothing_left = ~np.isfinite(without).all(axis=1)
    kept = np.where(nothing_left[:, None], 0.0, without)
    return np.where(nothing_left[:, None], np.inf, standard(scores) - standard(kept))
