"""Which items are worth scoring: all of them below 50,000, the nearest ones by FAISS above."""

from __future__ import annotations

import numpy as np

EXACT_BELOW = 50_000
CANDIDATES_PER_SEGMENT = 1_000
"""Neighbours that FAISS returns for each segment; their union is then scored exactly."""


class ExactIndex:
    """Every item is a candidate."""

    approximate = False

    def __init__(self, vectors: np.ndarray) -> None:
        self._rows = np.arange(len(vectors))

    def candidates(self, queries: np.ndarray) -> np.ndarray:
        """(m, d) queries → ascending item rows to score."""
        return self._rows


class FaissIndex:
    """HNSW graph, nearest by inner product; built once, some minutes for a million items.

    Each vector gets one more number, which makes all of them equally long. Then the nearest in space is the one with
    the largest product (Bachrach et al., RecSys 2014), and a graph of distances misses less than one of products does
    where the vectors of a trained model differ in length. Unit vectors get a zero.
    """

    approximate = True

    def __init__(self, vectors: np.ndarray, ef_search: int = 1_200) -> None:
        import faiss  # 100 ms and 30 MB: only where a catalogue is large

        squares = np.einsum("nd,nd->n", vectors, vectors)
        missing = np.sqrt(np.maximum(squares.max() - squares, 0.0))
        self._index = faiss.IndexHNSWFlat(vectors.shape[1] + 1, 32)
        self._index.hnsw.efConstruction = 120
        self._index.hnsw.efSearch = ef_search  # must not be under the number of neighbours asked for
        self._index.add(_widened(vectors, missing))

    def candidates(self, queries: np.ndarray) -> np.ndarray:
        """(m, d) queries → ascending item rows: the union of each query's nearest items."""
        _, rows = self._index.search(_widened(queries, np.zeros(len(queries))), CANDIDATES_PER_SEGMENT)
        rows = np.unique(rows)
        return rows[rows >= 0]


def _widened(vectors: np.ndarray, last: np.ndarray) -> np.ndarray:
    wide = np.empty((len(vectors), vectors.shape[1] + 1), np.float32)
    wide[:, :-1], wide[:, -1] = vectors, last
    return wide


def build_index(vectors: np.ndarray, exact_below: int = EXACT_BELOW) -> ExactIndex | FaissIndex:
    """Exact search for small catalogues, FAISS from `exact_below` items on."""
    return ExactIndex(vectors) if len(vectors) < exact_below else FaissIndex(vectors)
