"""TextEncoder of Eq. 5: texts → unit vectors. Frozen; the paper uses BERT, here all-MiniLM-L6-v2 (384-d)."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from slim_app import weights

LITTLE = 1500
"""Characters that are encoded by one CPU thread; more (a catalogue, a rationale without each segment) gets all."""
QUERY_CACHE = 4096
"""Vectors of recently seen texts (6 MB): a rationale that grows re-encodes only its newest segment."""


class TextEncoder:
    """A sentence-transformers model behind one method. Loads its weights at the first use, once.

    Args:
        source: path or Hub id; empty = the installed weight package (see `slim_app.weights`).
        device: `cpu`, `cuda` or empty for sentence-transformers' own choice.
    """

    def __init__(self, source: str = "", device: str = "cpu") -> None:
        self.source = source
        self.device = device
        self.name = Path(source).name if source else weights.ENCODER.name
        self._model = None
        self._load_lock = threading.Lock()
        self._cache: OrderedDict[str, np.ndarray] = OrderedDict()
        self._cache_lock = threading.Lock()
        self._forward_lock = threading.Lock()

    def load(self) -> None:
        """Load the weights now, for those who would rather wait at the start than at the first request.

        Raises:
            SlimError: the weights are nowhere (the message says what was tried).
        """
        with self._load_lock:
            if self._model is None:
                from sentence_transformers import SentenceTransformer  # two seconds of imports: only when needed
                from transformers.utils import logging as transformers_logging

                transformers_logging.disable_progress_bar()
                path = weights.resolve(weights.ENCODER, self.source)
                self._model = SentenceTransformer(str(path), device=self.device or None)

    @property
    def dimension(self) -> int:
        self.load()
        return int(self._model.get_embedding_dimension())

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) texts → (n, d) float32, unit length. Recently seen texts come from memory.

        Raises:
            SlimError: the weights are nowhere.
        """
        with self._cache_lock:
            known = {text: self._cache[text] for text in texts if text in self._cache}
        new = list(dict.fromkeys(text for text in texts if text not in known))
        if new:
            known.update(zip(new, self._forward(new), strict=True))
            with self._cache_lock:
                self._cache.update((text, known[text]) for text in new)
                while len(self._cache) > QUERY_CACHE:
                    self._cache.popitem(last=False)
        if not texts:
            return np.zeros((0, self.dimension), np.float32)
        return np.stack([known[text] for text in texts])

    def encode_many(self, texts: Sequence[str], chunk: int = 64) -> Iterator[tuple[int, np.ndarray]]:
        """Encode a catalogue in steps: yields (texts done so far, vectors of this step), past the query cache.

        Steps are short, so that visitors whose rationales are being ranked get their turn in between.
        """
        for start in range(0, len(texts), chunk):
            vectors = self._forward(list(texts[start : start + chunk]))
            yield start + len(vectors), vectors

    def _forward(self, texts: list[str]) -> np.ndarray:
        import torch

        self.load()
        # A rationale's segment is encoded while the student writes: on one core, so that the other goes on writing.
        torch.set_num_threads(1 if sum(map(len, texts)) <= LITTLE else os.cpu_count() or 1)
        with self._forward_lock:  # its tokenizer is not safe for threads ("Already borrowed")
            vectors = self._model.encode(
                texts, batch_size=64, normalize_embeddings=True, convert_to_numpy=True, show_progress_bar=False
            )
        return np.asarray(vectors, np.float32)


def vectors_key(encoder_name: str, texts: Sequence[str]) -> str:
    """Names the vectors of these texts under this encoder: same key, same vectors."""
    digest = hashlib.sha256(json.dumps([encoder_name, list(texts)]).encode())
    return digest.hexdigest()[:24]
