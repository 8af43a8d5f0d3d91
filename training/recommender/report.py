"""The figures of `training.evaluate`: each block says by which protocol and over how many seeds it was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from slim_app.errors import SlimError
from training import beyond_accuracy as beyond
from training.metrics import hit_rate, ndcg, paired_tests
from training.next_item import NOTE
from training.recommender.folders import Found
from training.recommender.sequences import Sequences

K = 10
MEASURES = {"ndcg@10": (ndcg, 10), "hr@10": (hit_rate, 10), "hr@20": (hit_rate, 20)}
POPULARITY = "counted in the training part of the sequences (all but the validation and test targets)"
ACCURACY_NOTE = (
    f"test target = last item; {NOTE.replace(', mean and standard deviation over the seeds', '')}; mean and standard "
    "deviation (n - 1) over training seeds x candidate seeds; sd_training: of the means over the candidate seeds"
)
BEYOND_NOTE = (
    f"top {K} of the full catalogue without the items bought before, for every user; popularity {POPULARITY}; arp: "
    "mean interactions of a listed item; aplt: share of listed items outside the short head, which holds "
    f"{beyond.HEAD:.0%} of the interactions; coverage: share of the catalogue in at least one list; gini of how often "
    "items are listed, 0 = all alike; efd (bits) and epc as Elliot has them: relevant items (the target) only, "
    "discount 1 / log2(rank + 1), from the ranks over the full catalogue and (_101) among 101 candidates; mean and "
    "standard deviation over training seeds"
)
SPARSITY_NOTE = (
    "users sorted by the length of their whole sequence, five equal groups, G1 the sparsest; models trained on all "
    "users together (the paper trained on each group); figures x 100, mean over training and candidate seeds; "
    "interval_95: over users, normal approximation"
)
CURVE_NOTE = (
    f"items sorted by popularity ({POPULARITY}) into equal bins, most popular first; share of all places in the "
    f"top-{K} lists (as in beyond_accuracy) that a bin takes, mean over training seeds; training: its share of the "
    "interactions"
)
PAIRED_NOTE = (
    "the same users; a user's figure is the mean over training seeds (and, among 101 candidates, candidate seeds); "
    "paired t-test and Wilcoxon signed-rank test, two-sided; interval_95: bootstrap over users; figures x 100"
)


class Reporter:
    """Blocks of the report for one dataset."""

    def __init__(self, sequences: Sequences) -> None:
        self.sequences, self.counts = sequences, beyond.training_counts(sequences)
        self.trained_users = int((sequences.lengths > 2).sum())
        self.bins = beyond.popularity_bins(self.counts)
        self.tail = beyond.long_tail(self.counts)

    def run(self, found: Found) -> dict[str, Any]:
        """Everything about one variant."""
        _, users, candidate_seeds = found.sampled.shape
        return {
            **found.facts, "runs": len(found.sampled), "candidate_seeds": candidate_seeds, "users": users,
            "with_rationale": int((found.unread >= 0).sum()), "with_older_rationale": int((found.unread > 0).sum()),
            "accuracy": self._accuracy(found),
            "beyond_accuracy": self._beyond(found), "sparsity": self._sparsity(found), "frequency": self._curve(found),
        }  # fmt: skip

    def catalogue(self) -> dict[str, Any]:
        """What the popularity figures refer to."""
        share = np.bincount(self.bins, self.counts) / self.counts.sum()
        return {
            "training_interactions": int(self.counts.sum()), "items_without_training": int((self.counts == 0).sum()),
            "short_head_items": int((~self.tail).sum()), "bins": len(share),
            "training": [round(float(value), 4) for value in share], "protocol": CURVE_NOTE,
        }  # fmt: skip

    def _accuracy(self, found: Found) -> dict[str, Any]:
        blocks: dict[str, Any] = {"protocol": ACCURACY_NOTE}
        for where, ranks in (("101", found.sampled), ("full", found.full[..., None])):
            blocks[where] = {
                name: _spread(metric(ranks, k).mean(axis=1) * 100, 2) for name, (metric, k) in MEASURES.items()
            }
        return blocks

    def _beyond(self, found: Found) -> dict[str, Any]:
        target = self.sequences.at(found.users, self.sequences.lengths[found.users] - 1)
        block: dict[str, Any] = {"protocol": BEYOND_NOTE}
        for suffix, ranks in (("", found.full), ("_101", found.sampled)):
            efd = [beyond.free_discovery(run, target, self.counts, K).mean() for run in ranks]
            epc = [beyond.popularity_complement(r, target, self.counts, self.trained_users, K).mean() for r in ranks]
            block |= {f"efd@{K}{suffix}": _spread(efd, 4), f"epc@{K}{suffix}": _spread(epc, 4)}
        n = self.sequences.n_items
        lists = {
            f"arp@{K}": lambda top: beyond.average_popularity(top, self.counts).mean(),
            f"aplt@{K}": lambda top: beyond.long_tail_share(top, self.tail).mean(),
            f"coverage@{K}": lambda top: beyond.coverage(top, n), f"gini@{K}": lambda top: beyond.gini(top, n),
        }  # fmt: skip
        return block | {name: _spread([measure(top) for top in found.top], 4) for name, measure in lists.items()}

    def _sparsity(self, found: Found) -> dict[str, Any]:
        lengths = self.sequences.lengths[found.users]
        group_of = beyond.sparsity_groups(lengths)
        groups = []
        for number in range(beyond.GROUPS):
            here = group_of == number
            if not here.any():
                continue  # fewer users than groups
            groups.append({
                "group": f"G{number + 1}", "users": int(here.sum()),
                "interactions": [int(lengths[here].min()), int(lengths[here].max())],
                "101": _means(found.sampled[:, here]), "full": _means(found.full[:, here]),
                "interval_95": {"101": _intervals(found.sampled[:, here]), "full": _intervals(found.full[:, here])},
            })  # fmt: skip
        return {"protocol": SPARSITY_NOTE, "groups": groups}

    def _curve(self, found: Found) -> list[float]:
        curve = np.mean([beyond.frequency_curve(top, self.bins) for top in found.top], axis=0)
        return [round(float(value), 4) for value in curve]


def compare(first: str, others: Sequence[str], found: Mapping[str, Found], users: Sequence[str]) -> dict[str, Any]:
    """`first` against the strongest of `others` (NDCG@10 at the test among 101 candidates: the hardest comparison).

    Raises:
        SlimError: the two did not rank for the same users, with one of those that make the difference.
    """
    best = max(others, key=lambda name: ndcg(found[name].sampled, K).mean())
    a, b = found[first], found[best]
    if not np.array_equal(a.users, b.users):
        only = np.setxor1d(a.users, b.users)
        who = first if only[0] in a.users else best
        raise SlimError(
            f"{first} ranks for {len(a.users)} users and {best} for {len(b.users)}: user {users[only[0]]} is only in "
            f"{who}, as are {len(only) - 1} more in one of the two. A paired test needs the same users: give "
            "--common-users, or the missing rationales."
        )
    block: dict[str, Any] = {"first": first, "second": best, "chosen_from": list(others), "users": len(a.users),
                             "protocol": PAIRED_NOTE}  # fmt: skip
    for where in ("101", "full"):
        block[where] = {}
        for name, (metric, k) in MEASURES.items():
            values = [
                metric(ranks, k).mean(axis=(0, 2)) * 100
                for ranks in ((x.sampled if where == "101" else x.full[..., None]) for x in (a, b))
            ]
            tests, means = paired_tests(*values), [float(value.mean()) for value in values]
            block[where][name] = {
                "first": round(means[0], 2), "second": round(means[1], 2), "difference": round(tests["difference"], 2),
                "improvement_percent": round(100 * tests["difference"] / means[1], 2) if means[1] else None,
                "interval_95": [round(value, 2) for value in tests["interval_95"]],
                "p_t_test": float(f"{tests['p_t_test']:.3g}"), "p_wilcoxon": float(f"{tests['p_wilcoxon']:.3g}"),
            }  # fmt: skip
    return block


def _means(ranks: np.ndarray) -> dict[str, float]:
    return {name: round(float(metric(ranks, k).mean() * 100), 2) for name, (metric, k) in MEASURES.items()}


def _intervals(ranks: np.ndarray) -> dict[str, list[float] | None]:
    """Of (r, u) or (r, u, c) ranks: mean over users ± 1.96 standard errors; None for a single user."""
    found: dict[str, list[float] | None] = {}
    for name, (metric, k) in MEASURES.items():
        values = metric(ranks, k).reshape(*ranks.shape[:2], -1).mean(axis=(0, 2)) * 100
        half = 1.96 * values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else None
        found[name] = None if half is None else [round(float(values.mean() + sign * half), 2) for sign in (-1, 1)]
    return found


def _spread(values: np.ndarray | Sequence[float], digits: int) -> dict[str, float | None]:
    """Of (r,) or (r, c) figures: the mean over all, and the standard deviation over all and over the r runs' means;
    null where there is but one."""
    values = np.asarray(values, float)
    runs = values.mean(axis=1) if values.ndim == 2 else values
    spread: dict[str, float | None] = {"mean": round(float(values.mean()), digits)}
    for name, of in (("sd", values.ravel()), ("sd_training", runs)):
        spread[name] = round(float(of.std(ddof=1)), digits) if len(of) > 1 else None
    return spread
