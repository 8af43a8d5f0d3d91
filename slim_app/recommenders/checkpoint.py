"""A trained recommender on disk, and as the app uses it: `model.safetensors` and the `meta.json` that describes it.

No user is stored: whoever types in a history is scored like the people it was trained on. The items' text vectors are
not stored either, they belong to the catalogue.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from slim_app.errors import SlimError
from slim_app.recommenders.config import RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender, segment_scores

WEIGHTS, META = "model.safetensors", "meta.json"
REPAIR = "python -m training.train_recommender --data DATASET --out"


def ids_digest(item_ids: Sequence[str]) -> str:
    """Names a catalogue: the same items in the same order."""
    return hashlib.sha256("\n".join(item_ids).encode()).hexdigest()


def save_recommender(folder: Path, model: FusedRecommender, meta: dict[str, Any]) -> None:
    """Writes both files; the description last, so that a kill in between is noticed when they are loaded.

    Raises:
        SlimError: the disk is full or not writable.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        weights = folder / (WEIGHTS + ".new")
        save_file({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, weights)
        content = meta | {"config": model.config.as_dict(), "weights_sha256": _digest(weights)}
        description = folder / (META + ".new")
        description.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
        os.replace(weights, folder / WEIGHTS)
        os.replace(description, folder / META)
    except OSError as error:
        raise SlimError(f"Cannot write {folder} ({error.strerror}). Free some space or choose another --out.") from None


@dataclass(frozen=True)
class TrainedRecommender:
    """Scores the whole catalogue for any history; a pure function of its arguments, safe for threads."""

    model: FusedRecommender
    meta: dict[str, Any]
    item_vectors: torch.Tensor
    """(n, h) z_i of all items."""

    @property
    def config(self) -> RecommenderConfig:
        return self.model.config

    def scores(self, history_rows: Sequence[int], rationale_vectors: np.ndarray | None = None) -> np.ndarray:
        """(n,) score of each item, higher is better: the maximum of `segment_scores`."""
        return self.segment_scores(history_rows, rationale_vectors).max(axis=0)

    def segment_scores(self, history_rows: Sequence[int], rationale_vectors: np.ndarray | None = None) -> np.ndarray:
        """(m, n) score of each item by each segment; without the others' rows it is an exact re-scoring.

        Args:
            history_rows: catalogue rows of the purchases, oldest first.
            rationale_vectors: (m, d) from `rationale_vectors`; None ranks without a rationale, with the input that
                stood for that in training.

        Raises:
            SlimError: an empty history, a row outside the catalogue, or no (or no fitting) rationale.
        """
        config = self.config
        rationale = self._rationale(rationale_vectors)
        with torch.inference_mode():
            states = None
            if config.backbone != "none":
                rows = torch.as_tensor(list(history_rows), dtype=torch.long)[-config.max_length :]
                if not len(rows):
                    raise SlimError("The history holds no item of this catalogue. Add one, or rank by text alone.")
                if rows.min() < 0 or rows.max() >= config.n_items:
                    what = f"the catalogue has {config.n_items} items, counted from 0"
                    raise SlimError(f"A purchase has the row {int(rows.max())}; {what}. Give rows of this catalogue.")
                states = self.model.states(rows[None])[:, -1]
            return segment_scores(self.model.queries(states, rationale), self.item_vectors)[0].numpy()

    def _rationale(self, vectors: np.ndarray | None) -> torch.Tensor | None:
        if vectors is None:
            if self.config.variant == "text":
                raise SlimError("Text matching has nothing to rank by without a rationale. Write one first.")
            return None
        if not self.config.uses_rationale:
            return None
        if vectors.ndim != 2 or vectors.shape[1] != self.config.text_dim or not len(vectors):
            wanted = f"(m, {self.config.text_dim})"
            raise SlimError(f"The rationale's vectors have the shape {vectors.shape}, not {wanted}. Use its encoder.")
        return torch.as_tensor(np.ascontiguousarray(vectors, np.float32))[None]


def load_recommender(
    folder: Path, item_ids: Sequence[str], item_text: np.ndarray | None = None, encoder_name: str = ""
) -> TrainedRecommender:
    """The recommender of `folder` for the catalogue that it was trained on.

    Args:
        item_ids: ids of the catalogue in its order.
        item_text: (n, d) vectors of the items' texts by the encoder named `encoder_name`; not read by `id`.

    Raises:
        SlimError: missing, damaged or mixed files; another catalogue or encoder. Each names what repairs it.
    """
    try:
        meta = json.loads((folder / META).read_text("utf-8"))
        config = RecommenderConfig.from_dict(meta["config"])
        expected, weights, again = meta["weights_sha256"], folder / WEIGHTS, f"Train it again: {REPAIR} {folder}"
        if _digest(weights) != expected:
            raise SlimError(f"{weights} is not what {META} beside it describes. {again}")
        state = load_file(weights)
        known, encoder = meta["dataset"]["items_sha256"], (meta["encoder"] or {}).get("name", "")
    except SlimError:
        raise
    except Exception as error:  # missing, cut off or not what it should be: the same advice for all
        what = f"There is no readable recommender in {folder} ({type(error).__name__})"
        raise SlimError(f"{what}. Train one: {REPAIR} {folder}") from None
    if ids_digest(item_ids) != known:
        what = f"trained on {config.n_items} items of {meta['dataset']['name']}, and this catalogue of {len(item_ids)}"
        raise SlimError(f"The recommender {folder} was {what} is another one. {again}")
    if config.uses_text:
        if encoder != encoder_name:
            what = f"reads vectors of the encoder {encoder}, not of {encoder_name or 'none'}"
            raise SlimError(f"The recommender {folder} {what}. Start with --encoder {encoder}, or: {again}")
        if item_text is None or item_text.shape != (config.n_items, config.text_dim):
            shape = None if item_text is None else item_text.shape
            raise SlimError(f"The items' vectors have the shape {shape}, which {folder} cannot read. {again}")
    text = torch.as_tensor(np.asarray(item_text, np.float32)) if config.uses_text else None
    model = FusedRecommender(config, text)
    try:
        model.load_state_dict(state)
    except RuntimeError:
        raise SlimError(f"The weights in {folder} belong to another version of this program. {again}") from None
    return trained(model, meta)


def trained(model: FusedRecommender, meta: dict[str, Any]) -> TrainedRecommender:
    """A model in memory as a recommender: no dropout, all items encoded once."""
    model = model.eval().requires_grad_(False)
    with torch.inference_mode():
        return TrainedRecommender(model, meta, model.items(torch.arange(model.config.n_items)))


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
