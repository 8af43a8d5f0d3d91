"""A dataset folder of generated shoppers, as large as asked for, with something to learn in it.

Lengths are those of the Games sample (5 to 50, median 7, mean 9). An item's popularity falls with its rank r as
r^-0.75: a tenth of the items makes up more than half of the purchases. Each item has 8 successors of its own; the next
purchase is one of them with probability 0.6, the first twice as often as the second and so on, and else any item by
its popularity. The same seed gives the same files.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

SUCCESSORS, FOLLOW, POWER = 8, 0.6, 0.75
SHORTEST, LONGEST = 5, 50
INTERACTIONS_PER_ITEM = 30


def generate(folder: Path, interactions: int, seed: int = 0) -> dict[str, float]:
    """Writes `items.tsv` and `sequences.tsv` with at most `interactions` purchases, and at most 50 fewer; counts."""
    draw = np.random.default_rng(seed)
    sequences, lengths = walk(draw, interactions, max(interactions // INTERACTIONS_PER_ITEM, 2 * SUCCESSORS))
    inside = np.arange(LONGEST) < lengths[:, None]
    bought, flat = np.unique(sequences[inside], return_inverse=True)  # an item that nobody bought is not in the files
    parts = np.split(flat, np.cumsum(lengths)[:-1])
    folder.mkdir(parents=True)
    with (folder / "items.tsv").open("w", encoding="utf-8") as stream:
        stream.write("item_id\ttitle\n")
        stream.writelines(f"i{n}\tProduct {n}\n" for n in range(len(bought)))
    with (folder / "sequences.tsv").open("w", encoding="utf-8") as stream:
        stream.write("user_id\titem_ids\n")
        stream.writelines(f"u{n}\t{' '.join(f'i{item}' for item in part)}\n" for n, part in enumerate(parts))
    top = np.sort(np.bincount(flat))[::-1]
    return {
        "users": len(lengths), "items": len(bought), "interactions": len(flat),
        "length_mean": round(float(lengths.mean()), 2), "length_median": float(np.median(lengths)),
        "share_of_top_tenth": round(float(top[: len(top) // 10].sum() / top.sum()), 3),
    }  # fmt: skip


def walk(draw: np.random.Generator, interactions: int, items: int) -> tuple[np.ndarray, np.ndarray]:
    """(u, 50) items, of which the first (u,) lengths count."""
    extra = draw.lognormal(np.log(2.2), 1.22, size=interactions // SHORTEST)
    lengths = np.minimum(SHORTEST + extra.astype(np.int64), LONGEST)
    lengths = lengths[: max(1, np.searchsorted(np.cumsum(lengths), interactions, side="right"))]
    item_of_rank = draw.permutation(items)

    def popular(*shape: int) -> np.ndarray:
        rank = (draw.random(shape) * ((items + 1) ** (1 - POWER) - 1) + 1) ** (1 / (1 - POWER)) - 1
        return item_of_rank[np.minimum(rank.astype(np.int64), items - 1)]

    successors = popular(items, SUCCESSORS)
    weights = 0.5 ** np.arange(SUCCESSORS)
    sequences = np.zeros((len(lengths), LONGEST), np.int64)
    sequences[:, 0] = popular(len(lengths))
    for t in range(1, int(lengths.max())):
        on = np.flatnonzero(lengths > t)
        after = draw.choice(SUCCESSORS, size=len(on), p=weights / weights.sum())
        follows = draw.random(len(on)) < FOLLOW
        sequences[on, t] = np.where(follows, successors[sequences[on, t - 1], after], popular(len(on)))
    return sequences, lengths
