"""What a result was made with: versions of programs, and digests of model, prompt and catalogue."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from weakref import WeakKeyDictionary

from slim_app.catalog import Catalog
from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.prompts import PROMPT_VERSION, STUDENT_TEMPLATE, TEACHER_TEMPLATE
from slim_app.recommenders.rankers import TRAINED
from slim_app.schema import ModelInfo

PROGRAMS = ("gradio", "numpy", "sentence-transformers", "torch", "transformers", "xllamacpp")
"""Packages on which a text or a score may depend."""
LENGTH = 12
"""Hexadecimal digits of a digest: short enough for a link, long enough to tell versions apart."""
_of_items: WeakKeyDictionary[Catalog, str] = WeakKeyDictionary()
"""Digests of catalogues, which never change: one of millions of items takes seconds."""


@dataclass(frozen=True)
class Digests:
    """Equal digests: none of what they name has changed. An empty one is not known."""

    model: str = ""
    """Who writes: name, base, adapter with its bytes, and whether it is bound to the catalogue."""
    prompt: str = ""
    """Version and words of both templates."""
    catalogue: str = ""
    """Items in their order, and the encoder that compares them."""
    ranker: str = ""
    """What ranks: its name, and the weights of a trained one."""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def digests(info: ModelInfo, domain: Domain, encoder: TextEncoder, ranker: str, adapter: Path | None = None) -> Digests:
    """Of one run.

    Args:
        ranker: its name.
        adapter: the adapter's file, where one is in use.
    """
    weights = _file_digest(adapter, adapter.stat().st_mtime_ns) if adapter else ""
    model = [info.name, info.base, info.adapter, info.tuned, info.kind, info.bound, weights]
    prompt = [PROMPT_VERSION, STUDENT_TEMPLATE, TEACHER_TEMPLATE]
    catalogue = [encoder.name, _items_digest(domain.catalog)]
    trained = domain.recommender.weights_digest if domain.recommender and ranker in TRAINED else ""
    return Digests(_digest(model), _digest(prompt), _digest(catalogue), _digest([ranker, trained]))


def programs() -> dict[str, str]:
    """Python and the packages of `PROGRAMS` that are installed, with their versions."""
    found = {"python": platform.python_version()}
    for name in PROGRAMS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, ensure_ascii=True).encode()).hexdigest()[:LENGTH]


def _items_digest(catalog: Catalog) -> str:
    if catalog not in _of_items:
        whole = hashlib.sha256()
        for item in catalog.items:
            whole.update(json.dumps(list(vars(item).values())).encode())
        _of_items[catalog] = whole.hexdigest()
    return _of_items[catalog]


@lru_cache(maxsize=8)
def _file_digest(file: Path, changed: int) -> str:
    """Of a file's bytes; read again when its time of change is another."""
    return hashlib.sha256(file.read_bytes()).hexdigest()
