"""What the paper reports: Y. Wang et al., Can Small Language Models be Good Reasoners for Sequential Recommendation?,
WWW 2024 (doi 10.1145/3589334.3645671, arXiv 2403.04260). `training.evaluate` puts it into its report, beside the runs
that it compares with; `training.tables_markdown` prints it there.

Protocol of Tables 1 and 2: test = last item, 101 candidates, mean ± sd of 5 runs, x 100. Table 8 does not say which
lists it is of. One relevant item a user bounds EPC@10 by NDCG@10 / Σ disc(r) = NDCG@10 / 4.544, and 0.0690 is 0.3135 /
4.544 beside an NDCG@10 of 0.3143 among 101 candidates: so it is of these, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TITLE = "Wang et al., WWW 2024"
SAMPLE = {"games": (3000, 9647, 26222)}
"""Users, items and interactions of the sample that is the paper's own; other datasets are other samples."""
PROTOCOL = (
    "Tables 1, 2: test = last item, 101 candidates, mean and standard deviation of 5 runs, x 100; Table 8: EFD@10 and "
    "EPC@10, its lists unnamed, by their size those of 101 candidates; Table 3: seconds for one rationale"
)
DATASETS = ("games", "food", "home")
METRICS = ("ndcg@10", "hr@10", "hr@20")

_TABLES_1_AND_2 = """
gru4rec id     | 17.61 0.18 30.87 0.56 42.39 0.62 |  9.10 0.30 15.27 0.58 19.51 0.24 |  2.19 0.21  4.17 0.39  7.53 0.64
gru4rec plus   | 27.33 0.53 44.06 0.79 56.53 1.24 | 17.75 0.78 31.10 1.09 45.01 1.46 | 12.19 1.02 26.76 2.58 49.10 3.82
gru4rec slim-  | 27.70 0.47 45.13 0.56 57.70 0.37 | 17.97 0.70 31.78 1.47 46.88 2.10 | 13.59 1.05 30.30 2.01 55.85 3.55
gru4rec slim   | 28.37 0.41 45.68 0.53 58.09 0.58 | 18.32 0.53 32.56 1.30 46.92 1.82 | 15.64 0.51 34.33 1.53 62.93 3.46
sasrec  id     | 22.73 0.28 37.77 0.52 51.53 0.39 | 26.78 0.24 35.78 0.36 43.32 0.55 |  2.66 0.22  5.56 0.72 14.93 1.53
sasrec  plus   | 27.46 0.19 44.88 0.63 58.90 0.38 | 30.95 0.38 44.98 0.53 55.61 1.12 |  5.58 0.10 11.09 0.16 20.69 0.77
sasrec  slim-  | 31.58 0.35 50.83 0.62 63.45 0.71 | 32.65 0.15 48.01 0.48 59.25 0.56 |  5.95 0.32 11.83 0.62 22.43 0.54
sasrec  slim   | 31.43 0.39 51.11 0.82 64.10 0.26 | 32.80 0.40 48.27 0.64 59.30 0.89 |  6.01 0.19 12.01 0.38 22.29 0.85
srgnn   id     | 16.45 0.22 29.29 0.14 40.99 0.52 | 10.99 2.07 20.32 4.30 32.14 6.55 |  5.04 0.83 13.48 2.23 37.22 3.85
srgnn   plus   | 21.54 0.64 36.77 1.05 49.11 1.54 | 11.91 0.71 21.39 1.91 33.63 3.41 | 11.61 1.14 25.22 2.46 43.85 3.58
srgnn   slim-  | 22.35 1.48 37.69 1.53 51.29 0.59 | 12.92 0.78 23.80 1.60 37.22 2.75 | 11.25 1.42 24.28 3.19 44.05 5.97
srgnn   slim   | 23.77 0.20 39.81 0.52 52.34 0.63 | 12.38 0.51 22.98 1.30 36.44 1.72 | 12.29 1.39 26.51 2.71 47.01 3.61
none    step1  | 13.78 0.59 26.08 0.91 41.71 0.62 | 13.62 0.22 24.90 0.59 38.15 0.69 |  4.25 0.06  9.53 0.27 18.91 0.77
none    step2  | 16.78 0.66 30.09 0.89 45.75 0.59 | 13.71 0.48 24.23 0.78 36.89 0.77 |  4.75 0.29 10.30 0.55 19.99 0.61
none    step3  | 20.20 0.31 35.57 0.54 50.04 0.47 | 15.69 0.26 26.69 0.68 39.19 0.98 |  4.83 0.27 10.39 0.38 21.05 0.43
none    slim-  | 21.75 0.58 38.05 0.88 53.73 0.79 | 19.08 0.71 32.34 0.74 44.63 0.90 |  4.63 0.28 10.15 0.62 20.11 1.01
none    slim   | 21.99 0.22 38.33 0.32 53.59 0.72 | 18.13 0.50 30.84 0.54 44.04 0.66 |  4.49 0.24  9.96 0.47 19.67 0.59
"""

TABLE_8 = {
    ("sasrec", "id"): {"games": (0.5810, 0.0511), "food": (0.6550, 0.0531), "home": (0.0765, 0.0059)},
    ("sasrec", "slim"): {"games": (0.8171, 0.0690), "food": (0.9197, 0.0732), "home": (0.1835, 0.0135)},
}
"""(backbone, row) → dataset → EFD@10, EPC@10."""

TABLE_3 = {"teacher, ChatGPT API": 5.54, "student, LLaMA2-7B on one A100": 6.11}
"""Seconds for one rationale."""


def accuracy(backbone: str, row: str, dataset: str) -> dict[str, tuple[float, float]] | None:
    """Metric → (mean, sd) of Tables 1 and 2; None where the paper has no such row.

    Args:
        backbone: `none` for text matching (Table 2).
        row: id, plus, slim- (the teacher's rationales), slim, step1, step2, step3.
    """
    if dataset not in DATASETS:
        return None
    for line in _TABLES_1_AND_2.strip().splitlines():
        name, *blocks = line.split("|")
        if name.split() == [backbone, row]:
            values = [float(value) for value in blocks[DATASETS.index(dataset)].split()]
            return dict(zip(METRICS, zip(values[::2], values[1::2], strict=True), strict=True))
    return None


def same_users(dataset: Mapping[str, Any]) -> bool:
    """True for a dataset (as in the report of `training.evaluate`) that is the paper's own sample."""
    return (dataset["users"], dataset["items"], dataset["interactions"]) == SAMPLE.get(dataset["name"])


def row_of(run: Mapping[str, Any]) -> str | None:
    """Which row of the paper's tables a run compares with; None for what the paper does not have."""
    if run["variant"] in ("id", "plus"):
        return run["variant"]
    if run["variant"] not in ("fused", "text") or run["ranker"] != "pooled":
        return None
    steps = tuple(run["steps"])
    if steps == (1, 2, 3):
        return "slim-" if run["rationales"]["writer"] == "teacher" else "slim"
    return f"step{steps[0]}" if run["variant"] == "text" and len(steps) == 1 else None


def beside(dataset: Mapping[str, Any], runs: Mapping[str, Mapping[str, Any]], common_users: bool) -> dict[str, Any]:
    """For the report: the paper's figures of each run that it has, and its times; empty for other datasets."""
    name = dataset["name"]
    if name not in DATASETS:
        return {}
    found = {}
    for run_name, run in runs.items():
        key = run.get("backbone", ""), row_of(run) or ""
        theirs = accuracy(*key, name)
        if theirs:
            beyond = TABLE_8.get(key, {}).get(name, ())
            found[run_name] = {
                "row": " ".join(key),
                "accuracy": {metric: {"mean": mean, "sd": sd} for metric, (mean, sd) in theirs.items()},
                "beyond_accuracy": dict(zip(("efd@10", "epc@10"), beyond, strict=False)),
            }
    return {
        "title": TITLE, "protocol": PROTOCOL, "same_users": same_users(dataset) and not common_users, "runs": found,
        "seconds_per_rationale": TABLE_3,
    }  # fmt: skip
