"""What several test files share: a hand-fed encoder, a tiny catalogue, and the real parts, loaded once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from slim_app.catalog import Catalog
from slim_app.domain import Domain, build_domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.schema import Item

ROOT = Path(__file__).resolve().parent.parent


class FakeEncoder:
    """TextEncoder's contract without a model: given vectors for given texts, else one that depends on the text only."""

    def __init__(self, vectors: Mapping[str, Sequence[float]] | None = None, dimension: int = 3) -> None:
        self.name = "fake"
        self.dimension = dimension
        self.vectors = dict(vectors or {})
        self.seen: list[str] = []
        """Every text that was encoded, in order."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.seen += texts
        return np.array([self._vector(text) for text in texts], np.float32).reshape(-1, self.dimension)

    def encode_many(self, texts: Sequence[str], chunk: int = 256) -> Iterator[tuple[int, np.ndarray]]:
        for start in range(0, len(texts), chunk):
            part = self.encode(texts[start : start + chunk])
            yield start + len(part), part

    def _vector(self, text: str) -> np.ndarray:
        if text in self.vectors:
            vector = np.asarray(self.vectors[text], float)
        else:
            seed = int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:8], "big")
            vector = np.random.default_rng(seed).normal(size=self.dimension)
        return vector / np.linalg.norm(vector)


def make_domain(items: Sequence[Item], encoder, name: str = "tiny") -> Domain:
    """A domain of these items, as for a visitor who brings them."""
    *_, domain = build_domain(name, name.capitalize(), items, encoder)
    return domain


TINY = (
    Item("G1", "Gran Turismo 7 - PlayStation 5", "Sony", "Racing Games"),
    Item("G2", "EA Sports F1 23 - PlayStation 5", "EA Sports", "Racing Games"),
    Item("G3", "Forza Horizon 5 - Xbox Series X", "Microsoft", "Racing Games"),
    Item("G4", "Stardew Valley - Nintendo Switch", "ConcernedApe", "Farming Sims"),
    Item("G5", "Minecraft - Nintendo Switch", "Mojang", "Sandbox"),
    Item("G6", "Minecraft - Xbox One", "Mojang", "Sandbox"),
    Item("G7", "Logitech G29 Driving Force", "Logitech", "Racing Wheels"),
    Item("G8", "Wired Stereo Headset, Black", "Simple", "Headsets"),
)


@pytest.fixture
def tiny_catalog() -> Catalog:
    return Catalog("tiny", TINY)


@pytest.fixture
def fake_encoder() -> FakeEncoder:
    return FakeEncoder(dimension=16)


@pytest.fixture
def tiny_domain(fake_encoder) -> Domain:
    return make_domain(TINY, fake_encoder)


@pytest.fixture(scope="session")
def encoder() -> TextEncoder:
    return TextEncoder()


@pytest.fixture(scope="session")
def domains(encoder) -> dict[str, Domain]:
    return load_domains([ROOT / "assets" / "domains"], encoder)


@pytest.fixture(scope="session")
def engine():
    """The embedded llama.cpp engine with its untuned base."""
    from slim_app.reasoners.llama_cpp import Engine

    return Engine(slots=4)
