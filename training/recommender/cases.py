"""A few users of the test position one by one, to look behind a figure. Neither they nor their items are named."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np

from training import beyond_accuracy as beyond
from training.recommender.folders import Found
from training.recommender.sequences import Sequences

PER_GROUP = 4
NOTE = (
    "users whom all runs rank for, sorted by the length of their whole sequence, in five equal groups (G1 the "
    f"sparsest), {PER_GROUP} of each at equal distances; rank of the target, 1 = first, mean over training seeds (and, "
    "among 101 candidates, candidate seeds); target_interactions: of the training part; target_bin: its popularity "
    "bin, 0 = most popular"
)


def cases(found: Mapping[str, Found], sequences: Sequences, counts: np.ndarray, bins: np.ndarray) -> dict[str, Any]:
    """The block of the report.

    Args:
        found: what each run found.
        counts: (n,) training interactions of each item.
        bins: (n,) its popularity bin.
    """
    users = reduce(np.intersect1d, [one.users for one in found.values()])
    lengths = sequences.lengths[users]
    order, group_of = np.argsort(lengths, kind="stable"), beyond.sparsity_groups(lengths)
    groups = [order[group_of[order] == number] for number in range(beyond.GROUPS)]
    picked = np.concatenate([_spread(group, min(PER_GROUP, len(group))) for group in groups])
    target = sequences.at(users[picked], lengths[picked] - 1)
    people = [
        {"group": f"G{group_of[place] + 1}", "purchases": int(lengths[place]), "target_interactions": int(counts[item]),
         "target_bin": int(bins[item])}
        for place, item in zip(picked, target, strict=True)
    ]  # fmt: skip
    ranks = {}
    for name, one in found.items():
        at = np.searchsorted(one.users, users[picked])
        few, full = one.sampled[:, at].mean(axis=(0, 2)), one.full[:, at].mean(axis=0)
        ranks[name] = {"101": np.round(few, 1).tolist(), "full": np.round(full, 1).tolist()}
    return {"protocol": NOTE, "users": people, "ranks": ranks}


def _spread(values: np.ndarray, count: int) -> np.ndarray:
    """`count` of them, at equal distances."""
    return values[(2 * np.arange(count) + 1) * len(values) // max(1, 2 * count)]
