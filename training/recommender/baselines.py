"""Rankings that nothing was trained for: popularity, and the purchases' own texts (METHOD: the baselines left out).

The text baselines read the newest 20 purchases, as every prompt does; scores are cosines.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.schema import MAX_HISTORY, Item
from training.next_item import Ranks
from training.recommender.evaluate import Task, rank_scores
from training.recommender.vectors import encode_once, item_vectors

BASELINES = {
    "popularity": "the items that were bought most",
    "last item": "cosine with the last purchase",
    "mean of the history": "cosine with the mean of the purchases",
    "nearest history item": "cosine with the nearest purchase",
    "history text": "cosine with the purchases as one text",
}


def by_popularity(task: Task, counts: np.ndarray, top: int = 0) -> Ranks:
    """Every user gets the same scores: (n,) `counts` of the training part."""
    scores = torch.from_numpy(counts.astype(np.float32))
    return rank_scores(lambda part: scores.expand(len(task.users[part]), -1), task, top)


def by_text(
    name: str, task: Task, items: Sequence[Item], encoder: TextEncoder, cache: Path | None, top: int = 0
) -> Ranks:
    """One of the baselines that read `items`' titles.

    Raises:
        SlimError: no item has a title.
    """
    vectors = torch.from_numpy(item_vectors(items, encoder, cache))
    if not vectors.any():
        raise SlimError(f"The baseline “{name}” reads titles, and no item has one. Add titles to items.tsv.")
    lengths = (task.seen < len(items)).sum(dim=1)
    place = torch.arange(MAX_HISTORY) + (lengths - MAX_HISTORY).clamp(min=0)[:, None]
    inside = place < lengths[:, None]
    newest = task.seen.gather(1, torch.where(inside, place, 0))  # (p, 20), oldest first
    final = inside.sum(dim=1) - 1

    def nearest(part: slice) -> torch.Tensor:
        found = torch.full((len(newest[part]), len(items)), -torch.inf)
        for column in range(int(final[part].max()) + 1):  # all at once: (P, 20, n)
            here = inside[part, column]
            found[here] = torch.maximum(found[here], vectors[newest[part][here, column]] @ vectors.T)
        return found

    if name == "nearest history item":
        return rank_scores(nearest, task, top)
    if name == "last item":
        users = vectors[newest.gather(1, final[:, None])[:, 0]]
    elif name == "mean of the history":
        users = torch.nn.functional.normalize((vectors[newest] * inside[..., None]).sum(dim=1))
    else:
        rows = zip(newest.tolist(), inside.tolist(), strict=True)
        texts = [". ".join(items[row].text for row, kept in zip(*pair, strict=True) if kept) for pair in rows]
        row, found = encode_once(texts, encoder, cache)
        users = torch.from_numpy(found)[torch.from_numpy(row)]
    return rank_scores(lambda part: users[part] @ vectors.T, task, top)
