"""Texts → vectors, each different text once, kept on disk for the next run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slim_app.encoder import TextEncoder, vectors_key
from slim_app.schema import Item

log = logging.getLogger("recommend")


def encode_once(texts: Sequence[str], encoder: TextEncoder, cache: Path | None) -> tuple[np.ndarray, np.ndarray]:
    """(n,) texts → (n,) rows of the second, (v, d) float32 vectors of the different texts."""
    # of like length together: the encoder pads a batch to its longest text
    unique = sorted(dict.fromkeys(texts), key=lambda text: (len(text), text))
    row_of = {text: row for row, text in enumerate(unique)}
    rows = np.fromiter((row_of[text] for text in texts), np.int64, len(texts))
    file = cache / f"texts-{vectors_key(encoder.name, unique)}.npy" if cache else None
    if file and file.is_file():
        try:
            vectors = np.load(file, allow_pickle=False)
            if vectors.ndim == 2 and len(vectors) == len(unique):
                return rows, vectors
        except (OSError, ValueError, EOFError):
            pass  # cut off by a full disk: made again
        log.warning("%s is broken and is made again", file)
    log.info("encoding %d texts …", len(unique))
    parts = []
    for done, part in encoder.encode_many(unique):
        parts.append(part)
        if done % 8192 < 64:
            log.info("  %d of %d", done, len(unique))
    vectors = np.concatenate(parts)
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, vectors)
    return rows, vectors


def item_vectors(items: Sequence[Item], encoder: TextEncoder, cache: Path | None) -> np.ndarray:
    """(n, d) z_i^text (Eq. 5); a row of zeros stands for an item without text, and `lacking` counts those."""
    rows, vectors = encode_once([item.text for item in items], encoder, cache)
    found = vectors[rows]
    found[lacking(items)] = 0.0
    return found


def lacking(items: Sequence[Item]) -> np.ndarray:
    """(k,) rows of the items without a title."""
    return np.flatnonzero([not item.title.strip() for item in items])
