"""What else a recommender is good for: novelty of its hits, popularity and spread of its lists, sparse users.

Everything that is called popular is so by the training part of the sequences alone, (n,) `counts` of `training_counts`.
Definitions are those of Elliot (Anelli et al., SIGIR 2021; github.com/sisinflab/elliot, evaluation/metrics), since the
paper measured with it; each function names the module.
"""

from __future__ import annotations

import numpy as np

from training.metrics import ndcg
from training.recommender.sequences import Sequences

HEAD = 0.8
"""Share of the interactions that the short head holds; the rest of the items are the long tail (Elliot's default)."""
BINS = 20
GROUPS = 5


def training_counts(sequences: Sequences) -> np.ndarray:
    """(n,) for how many users each item is in the training part: all but the validation and test targets."""
    return np.bincount(sequences.trained_pairs()[1], minlength=sequences.n_items)


def free_discovery(rank: np.ndarray, target: np.ndarray, counts: np.ndarray, k: int) -> np.ndarray:
    """EFD@k of each user, in bits (novelty/EFD; Vargas and Castells, RecSys 2011): relevant items only.

    Σ_r disc(r) rel(i_r) (-log2 p(i_r)) / Σ_r disc(r), disc(r) = 1 / log2(r + 1) for ranks r = 1 … k, p(i) = share
    of the training interactions; an item without any counts like the rarest one. The target is the relevant item.

    Args:
        rank: (u, ...) rank of each user's target.
        target: (u,) its row.
        counts: (n,) training interactions.
    """
    share = np.where(counts > 0, counts, counts[counts > 0].min()) / counts.sum()
    return _discounted(rank, -np.log2(share)[target], k)


def popularity_complement(rank: np.ndarray, target: np.ndarray, counts: np.ndarray, users: int, k: int) -> np.ndarray:
    """EPC@k of each user, 0-1 (novelty/EPC): as `free_discovery`, with the share of the `users` without the item."""
    return _discounted(rank, (1 - counts / users)[target], k)


def _discounted(rank: np.ndarray, novelty: np.ndarray, k: int) -> np.ndarray:
    novelty = novelty.reshape(-1, *[1] * (rank.ndim - 1))
    return ndcg(rank, k) * novelty / ndcg(np.arange(1, k + 1), k).sum()


def average_popularity(lists: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """ARP of each user (bias/ARP; Yin et al., VLDB 2012): mean training interactions of the (u, k) listed items."""
    return counts[lists].mean(axis=1)


def long_tail(counts: np.ndarray, head: float = HEAD) -> np.ndarray:
    """(n,) True for the long tail: what is left after the most popular items that together hold `head` of all
    interactions (popularity_utils). Of equally popular items the earlier row is the more popular one."""
    order = np.argsort(-counts, kind="stable")
    before = np.cumsum(counts[order]) - counts[order]
    tail = np.zeros(len(counts), bool)
    tail[order] = before >= head * counts.sum()
    return tail


def long_tail_share(lists: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """APLT of each user, 0-1 (bias/APLT; Abdollahpouri et al., RecSys 2017): listed items of the long tail."""
    return tail[lists].mean(axis=1)


def recommended(lists: np.ndarray, n_items: int) -> np.ndarray:
    """(n,) in how many lists each item stands."""
    return np.bincount(lists.ravel(), minlength=n_items)


def coverage(lists: np.ndarray, n_items: int) -> float:
    """Share of the catalogue that stands in at least one list (coverage/item_coverage, as a share)."""
    return float((recommended(lists, n_items) > 0).mean())


def gini(lists: np.ndarray, n_items: int) -> float:
    """Gini index of how often items are listed: 0 = all alike, 1 = always the same one.

    Σ_j (2j - n - 1) p(i_j) / (n - 1), items from the least listed on. Elliot's diversity/gini_index is 1 minus this.
    """
    times = np.sort(recommended(lists, n_items))
    weights = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float((weights * times).sum() / (times.sum() * (n_items - 1)))


def popularity_bins(counts: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n,) bin of each item: 0 holds the most popular n / bins items, and so on (the paper's Figure 6)."""
    found = np.empty(len(counts), int)
    found[np.argsort(-counts, kind="stable")] = np.arange(len(counts)) * bins // len(counts)
    return found


def frequency_curve(lists: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """(b,) share of all places in the lists that the items of each popularity bin take."""
    return np.bincount(bins, recommended(lists, len(bins)), minlength=bins.max() + 1) / lists.size


def sparsity_groups(lengths: np.ndarray, groups: int = GROUPS) -> np.ndarray:
    """(u,) 0 for the users with fewest interactions (the paper's G1) up to `groups` - 1 for those with most (G5).

    Equal groups of the users sorted by (u,) `lengths`; of equally long sequences the earlier one is the shorter.
    """
    found = np.empty(len(lengths), int)
    found[np.argsort(lengths, kind="stable")] = np.arange(len(lengths)) * groups // len(lengths)
    return found
