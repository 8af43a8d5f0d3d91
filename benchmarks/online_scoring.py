"""One user against the whole catalogue, as the app meets them: every item scored, or the nearest by FAISS."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from slim_app.recommenders.checkpoint import TrainedRecommender, trained
from slim_app.recommenders.config import RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender
from slim_app.recommenders.index import FaissIndex
from training.recommender.start import start_from_text

K, HISTORY, TEXT, WARM_UP = 10, 10, 128, 3
SEGMENTS = {"pooled": 1, "late": 11}
"""Vectors of a rationale for each ranker: one, or one for each segment."""
NOTE = (
    "Fused SASRec (Eq. 6, hidden 64, started from the text, not trained: neither changes the time). The items' texts "
    "are generated unit vectors of 128 dimensions in clusters (one for each 50 items or so; cosine about 0.8 to the "
    "centre), whose spectrum falls like that of real text vectors. A user has 10 purchases of one cluster and a "
    "rationale near it. Milliseconds from history and rationale vectors to the top 10, the model's part included. "
    "FAISS gives each query's nearest 1,000 items, which are scored exactly. recall@10: share of the exact top 10 that "
    "is found."
)


def texts(draw: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(count, d) unit vectors, and the (count,) cluster of each."""
    falling = (1.0 + np.arange(TEXT, dtype=np.float32)) ** -0.5
    clusters = max(2, count // 50)
    centres = draw.standard_normal((clusters, TEXT), np.float32) * falling
    cluster = draw.integers(clusters, size=count)
    vectors = draw.standard_normal((count, TEXT), np.float32)
    vectors *= 0.75 * falling
    vectors += centres[cluster]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors, cluster


def make_recommender(vectors: np.ndarray, ranker: str) -> TrainedRecommender:
    """A fused SASRec over items with these text vectors."""
    torch.manual_seed(0)
    config = RecommenderConfig("sasrec", "fused", len(vectors), TEXT, ranker)
    model = FusedRecommender(config, torch.from_numpy(vectors))
    start_from_text(model)
    return trained(model, {})


def queries_of(ready: TrainedRecommender, history: np.ndarray, rationale: np.ndarray) -> np.ndarray:
    """(m, h) query vectors of one user."""
    with torch.inference_mode():
        states = ready.model.states(torch.from_numpy(history)[None])[:, -1]
        return ready.model.queries(states, torch.from_numpy(rationale)[None])[0].numpy()


def top(scores: np.ndarray) -> np.ndarray:
    """Columns of the best 10, best first."""
    best = np.argpartition(scores, -K)[-K:]
    return best[np.argsort(-scores[best], kind="stable")]


def measure(items: int, users: int, seed: int) -> dict:
    """Milliseconds (median, 95th percentile) and recall for one catalogue size."""
    draw = np.random.default_rng(seed)
    vectors, cluster = texts(draw, items)
    figures: dict = {"users": users}
    index = None
    for ranker, segments in SEGMENTS.items():
        ready = make_recommender(vectors, ranker)
        if index is None:  # both rankers have the same items
            seconds, index = timed(FaissIndex, ready.item_vectors.numpy())
            figures["index_built_s"] = round(seconds, 1)
        people = []
        for _ in range(WARM_UP + users):
            near = np.flatnonzero(cluster == cluster[draw.integers(items)])
            history = near[draw.integers(len(near), size=HISTORY)]
            people.append((history, vectors[near[draw.integers(len(near), size=segments)]]))
        # one way after the other: the threads of PyTorch and of FAISS would wait for each other
        ways = {"model": partial(queries_of, ready), "exact": partial(every, ready),
                "faiss": partial(nearest, ready, index)}  # fmt: skip
        found = {name: [timed(way, *person) for person in people][WARM_UP:] for name, way in ways.items()}
        both = zip(found["exact"], found["faiss"], strict=True)
        recall = [len(np.intersect1d(exact, near)) / K for (_, exact), (_, near) in both]
        figures[ranker] = {f"{name}_ms": spread([1000 * seconds for seconds, _ in found[name]]) for name in ways}
        figures[ranker] |= {"recall@10": round(float(np.mean(recall)), 4), "recall@10_min": min(recall)}
    return figures


def every(ready: TrainedRecommender, history: np.ndarray, rationale: np.ndarray) -> np.ndarray:
    """The best 10 of all items."""
    return top(ready.scores(history, rationale))


def nearest(ready: TrainedRecommender, index: FaissIndex, history: np.ndarray, rationale: np.ndarray) -> np.ndarray:
    """The best 10 of the items that the index finds."""
    queries = queries_of(ready, history, rationale)
    rows = index.candidates(queries)
    return rows[top((queries @ ready.item_vectors.numpy()[rows].T).max(axis=0))]


def timed(work: Callable[..., Any], *args: Any, **values: Any) -> tuple[float, Any]:
    """Seconds that `work` takes, and what it returns."""
    begun = time.perf_counter()
    result = work(*args, **values)
    return time.perf_counter() - begun, result


def spread(values: list[float]) -> dict[str, float]:
    """Median and 95th percentile."""
    return {"median": round(float(np.median(values)), 3), "p95": round(float(np.percentile(values, 95)), 3)}


def lines(catalogues: dict[str, dict]) -> list[str]:
    """Figures by catalogue size as a table."""
    rows = [f"{'one user, ms: median (95th percentile)':38}{'exact':>16}{'FAISS':>16}{'recall@10':>11}"]
    for size, figures in catalogues.items():
        for ranker in SEGMENTS:
            f = figures[ranker]
            cells = [f"{f[name]['median']:.2f} ({f[name]['p95']:.2f})" for name in ("exact_ms", "faiss_ms")]
            rows.append(f"  {int(size):>9,} items, {ranker:20}{cells[0]:>16}{cells[1]:>16}{f['recall@10']:>11.3f}")
    return rows
