"""Ranking metrics over leave-one-out targets (METHOD.md, Protocol). Each user has one target, in column 0.

NDCG@K of one relevant item is 1 / log2(rank + 1) for rank <= K, else 0; HR@K is 1 for rank <= K, else 0.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np

NEGATIVES = 100


def ranks(scores: np.ndarray) -> np.ndarray:
    """(u, c) scores, the target's in column 0 → (u,) its 1-based rank. Ties count against it, so a model that scores
    everything alike comes last, not first.

    Raises:
        ValueError: a score is NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("a score is not a number")
    return (scores >= scores[:, :1]).sum(axis=1)


def ndcg(rank: np.ndarray, k: int) -> np.ndarray:
    """(u,) ranks → (u,) NDCG@k of each user."""
    return np.where(rank <= k, 1.0 / np.log2(rank + 1.0), 0.0)


def hit_rate(rank: np.ndarray, k: int) -> np.ndarray:
    """(u,) ranks → (u,) 1.0 where the target is among the first k."""
    return (rank <= k).astype(float)


def sample_negatives(
    user: str, touched: Collection[int], n_items: int, seed: int, count: int = NEGATIVES
) -> np.ndarray:
    """(count,) rows of items that the user never touched, uniform without repetition: the paper's candidates.

    A pure function of its arguments, the same on every machine, so every model sees the same candidates.

    Raises:
        ValueError: fewer than `count` untouched items.
    """
    if n_items - len(set(touched)) < count:
        raise ValueError(f"user {user} has fewer than {count} items that were never touched")
    digest = hashlib.sha256(f"{seed}:{user}".encode()).digest()
    generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    order = generator.permutation(n_items)
    return order[~np.isin(order, np.fromiter(touched, np.int64))][:count]


def paired_interval(first: np.ndarray, second: np.ndarray, seed: int = 0, draws: int = 10_000) -> tuple[float, float]:
    """95 % bootstrap interval of mean(first - second) over users (percentile method)."""
    difference = np.asarray(first, float) - np.asarray(second, float)
    generator = np.random.default_rng(seed)
    means = np.empty(draws)
    for start in range(0, draws, 100):  # all at once would take a GB for a few thousand users
        part = means[start : start + 100]
        part[:] = difference[generator.integers(0, len(difference), (len(part), len(difference)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def paired_tests(first: np.ndarray, second: np.ndarray) -> dict[str, float | list[float]]:
    """Of two rankings of the same users, (u,) each: mean difference with its 95 % interval, and the two-sided p of
    the paired t-test and of Wilcoxon's signed-rank test (users without a difference left out)."""
    from scipy.stats import ttest_rel, wilcoxon

    first, second = np.asarray(first, float), np.asarray(second, float)
    same = bool((first == second).all())
    return {
        "difference": float((first - second).mean()),
        "interval_95": list(paired_interval(first, second)),
        "p_t_test": 1.0 if same else float(ttest_rel(first, second).pvalue),
        "p_wilcoxon": 1.0 if same else float(wilcoxon(first, second).pvalue),
    }
