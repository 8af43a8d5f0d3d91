"""A domain's trained recommender before it is loaded: what its `meta.json` says of it. No torch until it ranks."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.recommenders.config import USES_RATIONALE

if TYPE_CHECKING:
    from slim_app.recommenders.checkpoint import TrainedRecommender

log = logging.getLogger(__name__)
NAME = "recommender"
"""The folder's name inside a domain folder."""
BACKBONES = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "srgnn": "SR-GNN"}


class RecommenderFolder:
    """`recommender/` of a domain folder, loaded at the first use.

    Args:
        item_ids: ids of the catalogue in its order.
        item_text: (n, d) vectors of the items.
        encoder_name: what made them.
    """

    def __init__(self, folder: Path, item_ids: Sequence[str], item_text: np.ndarray, encoder_name: str) -> None:
        self.folder, self._for = folder, (item_ids, item_text, encoder_name)
        self._meta = _read(folder / "meta.json")
        self._loaded: TrainedRecommender | None = None
        self._lock = threading.Lock()

    @property
    def variant(self) -> str:
        """As in RecommenderConfig; empty where `meta.json` cannot be read."""
        return str(self._part("config").get("variant", ""))

    @property
    def fuses(self) -> bool:
        """True when it reads rationales. An unreadable one is taken to: using it then says what is wrong."""
        return not self.variant or self.variant in USES_RATIONALE

    @property
    def backbone(self) -> str:
        """Name of the sequence model, as people write it."""
        name = str(self._part("config").get("backbone", "sasrec"))
        return BACKBONES.get(name, name)

    @property
    def weights_digest(self) -> str:
        """SHA-256 of its weights as `meta.json` has it, which `load` checks; empty where that cannot be read."""
        return str(self._meta.get("weights_sha256", ""))

    @property
    def trained_on(self) -> str:
        """Half a sentence: "2,000 simulated shoppers with 17,602 purchases and simulated rationales"."""
        data, rationales = self._part("dataset"), self._part("rationales")
        if not isinstance(data.get("users"), int) or not isinstance(data.get("interactions"), int):
            return "data that its meta.json does not name"
        kind = "simulated shoppers" if data.get("simulated") else f"people of “{str(data.get('name'))[:60]}”"
        text = f"{data['users']:,} {kind} with {data['interactions']:,} purchases"
        if rationales:
            writer = str(rationales.get("model"))[:60]
            text += " and simulated rationales" if writer == "simulated" else f" and rationales by {writer}"
        return text

    def load(self) -> TrainedRecommender:
        """The recommender; read once, whoever comes first.

        Raises:
            SlimError: files that are missing or damaged, another catalogue or encoder; names what repairs it.
        """
        with self._lock:
            if self._loaded is None:
                from slim_app.recommenders.checkpoint import load_recommender  # torch: only when it ranks

                self._loaded = load_recommender(self.folder, *self._for)
            return self._loaded

    def _part(self, name: str) -> dict[str, Any]:
        value = self._meta.get(name)
        return value if isinstance(value, dict) else {}


def find_recommender(
    domain: Path, item_ids: Sequence[str], item_text: np.ndarray, encoder_name: str
) -> RecommenderFolder | None:
    """The recommender in a domain folder; None where there is none, or one that reads no purchases."""
    folder = domain / NAME
    if not folder.is_dir():
        return None
    found = RecommenderFolder(folder, item_ids, item_text, encoder_name)
    if found.variant == "text":
        log.warning("%s reads no purchases (variant text), so it is not offered. Train one with a backbone.", folder)
        return None
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # `load` says so, to whoever chooses this ranker
    return value if isinstance(value, dict) else {}
