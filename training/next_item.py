"""How well scores find the next purchase: the paper's 101 candidates and the full catalogue (METHOD.md, Protocol)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.metrics import hit_rate, ndcg, ranks, sample_negatives

SEEDS = (0, 1, 2, 3, 4)
NOTE = (
    "101 = the target and 100 items that the user never touched, uniform, fixed by seed and user, mean and standard "
    "deviation over the seeds; full = all items that the shown part of the sequence does not hold; ties count against "
    "the target; figures x 100"
)


@dataclass(frozen=True)
class Case:
    """One user's target and candidates, as rows of the catalogue."""

    user: str
    target: int
    seen: np.ndarray
    """Rows of what was bought before the target."""
    candidates: np.ndarray
    """(seeds, 101): the target first."""


def make_case(user: str, sequence: Sequence[int], upto: int, n_items: int, seeds: Sequence[int] = SEEDS) -> Case:
    """The target is the item after the first `upto`; candidates avoid the whole sequence, later items included."""
    target, touched = sequence[upto], set(sequence)
    drawn = [[target, *sample_negatives(user, touched, n_items, seed)] for seed in seeds]
    return Case(user, target, np.array(sorted(set(sequence[:upto]) - {target}), int), np.array(drawn))


@dataclass(frozen=True)
class Ranks:
    """Ranks of the targets of all users."""

    sampled: np.ndarray
    """(users, seeds) among 101 candidates."""
    full: np.ndarray
    """(users,) over the full catalogue."""
    top: np.ndarray | None = None
    """(users, k) the first items of the full catalogue, best first, where they were asked for."""

    def per_user(self) -> np.ndarray:
        """(users,) NDCG@10 among 101 candidates, mean over the seeds."""
        return ndcg(self.sampled, 10).mean(axis=1)

    def as_dict(self) -> dict[str, dict[str, float]]:
        """NDCG@10, HR@10 and HR@20, x 100."""
        measures = {"ndcg@10": (ndcg, 10), "hr@10": (hit_rate, 10), "hr@20": (hit_rate, 20)}
        sampled: dict[str, float] = {}
        for name, (metric, k) in measures.items():
            of_seed = metric(self.sampled, k).mean(axis=0) * 100
            sampled |= {name: round(float(of_seed.mean()), 2), f"{name}_sd": round(float(of_seed.std(ddof=1)), 2)}
        full = {name: round(float(metric(self.full, k).mean() * 100), 2) for name, (metric, k) in measures.items()}
        return {"101": sampled, "full": full}


def rank_targets(cases: Sequence[Case], scores: Sequence[np.ndarray]) -> Ranks:
    """`scores[i]` is (n_items,) for `cases[i]`; higher is better."""
    sampled, full = [], []
    for case, score in zip(cases, scores, strict=True):
        sampled.append(ranks(score[case.candidates]))
        others = np.delete(score, np.append(case.seen, case.target))
        full.append(ranks(np.append(score[case.target], others)[None])[0])
    return Ranks(np.array(sampled), np.array(full))
