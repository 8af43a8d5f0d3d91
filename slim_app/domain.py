"""A domain = a folder: items, sample shoppers, item vectors and what made them.

    assets/domains/<name>/items.jsonl      one item a line: id, title, brand, category, description
                          shoppers.jsonl   sample histories (optional)
                          meta.json        label and where the data comes from (optional)
                          recommender/     what `training.train_recommender` wrote for these items (optional)
                          vectors.npy      (n + g, d) float32: n items, then g categories and brands
                                           (optional; made on first use otherwise)

`python -m slim_app.domain assets/domains/games` writes the vectors of a folder.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slim_app.catalog import Catalog
from slim_app.encoder import TextEncoder, vectors_key
from slim_app.errors import SlimError
from slim_app.recommenders.folder import RecommenderFolder, find_recommender
from slim_app.recommenders.index import ExactIndex, FaissIndex, build_index
from slim_app.schema import Item, Shopper
from slim_app.tables import items_from, read_table

log = logging.getLogger(__name__)
CATALOG_LIMIT = 5_000_000
OWN_FILE = 1 << 33
"""A domain folder is the operator's own: the limits of an upload do not hold."""


@dataclass(frozen=True)
class Domain:
    """Everything that ranking needs of one catalogue. Row i of `vectors` is item i of `catalog`."""

    name: str
    label: str
    catalog: Catalog
    vectors: np.ndarray
    group_vectors: np.ndarray
    """(g, d): vectors of `catalog.groups`, the categories and brands, in their order."""
    index: ExactIndex | FaissIndex
    shoppers: tuple[Shopper, ...] = ()
    note: str = ""
    """Where the items and shoppers come from, for the page."""
    recommender: RecommenderFolder | None = None
    """A recommender trained for these items; not loaded before it ranks."""

    def history(self, shopper: Shopper) -> list[Item]:
        """The items of a sample shopper."""
        return [self.catalog.items[self.catalog.row_of_id[item_id]] for item_id in shopper.history]


def build_domain(name: str, label: str, items: Sequence[Item], encoder: TextEncoder) -> Iterator[int | Domain]:
    """A domain from items that a visitor brought: yields how many are encoded so far, and last the Domain."""
    catalog, parts = Catalog(name, items), []
    for done, part in encoder.encode_many(texts_of(catalog)):
        parts.append(part)
        yield min(done, len(items))
    yield _assemble(label, catalog, np.concatenate(parts))


def texts_of(catalog: Catalog) -> list[str]:
    """What a domain has encoded: every item's text, then every category and brand name."""
    return [item.text for item in catalog.items] + list(catalog.groups.values())


def load_domain(folder: Path, encoder: TextEncoder, cache: Path | None = None) -> Domain:
    """Read a domain folder; vectors come from the folder, else from `cache`, else are made (and cached) now.

    Raises:
        SlimError: missing or broken files, a shopper with an unknown item; names file and line.
    """
    file = folder / "items.jsonl"
    if not file.is_file():
        raise SlimError(f"The domain folder {folder} has no items.jsonl. A domain needs one item a line there.")
    items, notices = items_from(read_table(file, max_bytes=OWN_FILE), file.name, CATALOG_LIMIT)
    for notice in notices:
        log.warning("%s: %s", file, notice)
    catalog = Catalog(folder.name, items)
    meta = _read_json(folder / "meta.json")
    shoppers = read_shoppers(folder / "shoppers.jsonl", catalog)
    vectors = _vectors(folder, encoder, texts_of(catalog), meta.get("vectors_key", ""), cache)
    label = str(meta.get("label") or folder.name.replace("_", " ").replace("-", " ").capitalize())
    domain = _assemble(label, catalog, vectors, shoppers, str(meta.get("note", "")))
    ids = [item.id for item in catalog.items]
    return replace(domain, recommender=find_recommender(folder, ids, domain.vectors, encoder.name))


def load_domains(folders: Sequence[Path], encoder: TextEncoder, cache: Path | None = None) -> dict[str, Domain]:
    """All domains under the given folders: each is a domain itself, or holds domain folders. Sorted as given.

    Raises:
        SlimError: no domain at all, two with one name, or a broken one.
    """
    domains: dict[str, Domain] = {}
    for folder in folders:
        if not folder.is_dir():
            raise SlimError(f"There is no folder {folder} (from --domains). Give a folder with an items.jsonl in it.")
        alone = (folder / "items.jsonl").is_file()
        inside = [folder] if alone else [file.parent for file in folder.glob("*/items.jsonl")]
        order = [] if alone else _read_json(folder / "order.json").get("order", [])
        for path in sorted(inside, key=lambda p: (order.index(p.name) if p.name in order else len(order), p.name)):
            if path.name in domains:
                raise SlimError(f"Two domains are named “{path.name}”. Rename one of the folders.")
            domains[path.name] = load_domain(path, encoder, cache)
    if not domains:
        raise SlimError(f"No domain in {', '.join(map(str, folders))}: a domain is a folder with an items.jsonl.")
    return domains


def read_shoppers(file: Path, catalog: Catalog) -> tuple[Shopper, ...]:
    """The sample shoppers of a domain; every item must be in its catalogue."""
    if not file.is_file():
        return ()
    shoppers = []
    for number, line in enumerate(file.read_text("utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            shopper = Shopper(
                str(row["shopper_id"]), str(row["name"]), tuple(row["history"]), row.get("next", ""),
                row.get("step1", ""), tuple(row.get("step2", ())), tuple(row.get("step3", ())),
            )  # fmt: skip
        except (ValueError, KeyError, TypeError) as error:
            raise SlimError(
                f"{file}, line {number}: not a sample shopper ({error!r}). Mend or remove the line."
            ) from None
        unknown = [i for i in (*shopper.history, shopper.next) if i and i not in catalog.row_of_id]
        if unknown or not shopper.history:
            what = f"unknown item “{unknown[0]}”" if unknown else "an empty history"
            raise SlimError(f"{file}, line {number}: {what}. Every purchase must be an id of items.jsonl.")
        shoppers.append(shopper)
    return tuple(shoppers)


def _assemble(label: str, catalog: Catalog, vectors: np.ndarray, shoppers: tuple = (), note: str = "") -> Domain:
    items, groups = vectors[: len(catalog)], vectors[len(catalog) :]
    return Domain(catalog.name, label, catalog, items, groups, build_index(items), shoppers, note)


def _vectors(folder: Path, encoder: TextEncoder, texts: list[str], shipped_key: str, cache: Path | None) -> np.ndarray:
    key = vectors_key(encoder.name, texts)
    candidates = [folder / "vectors.npy"] if shipped_key == key else []
    candidates += [cache / f"vectors-{key}.npy"] if cache else []
    for file in candidates:
        if file.is_file():
            try:
                vectors = np.load(file, allow_pickle=False).astype(np.float32)
            except (OSError, ValueError, EOFError) as error:  # e.g. cut off by a full disk
                log.warning("%s is broken and is not used (%s)", file, error)
                continue
            if vectors.ndim == 2 and len(vectors) == len(texts):
                return vectors
            log.warning("%s has shape %s for %d texts and is not used", file, vectors.shape, len(texts))
    if shipped_key and shipped_key != key:
        log.warning(
            "%s/vectors.npy was made from other items or another encoder and is not used. "
            "Make it again with: python -m slim_app.domain %s", folder, folder,
        )  # fmt: skip
    log.info("Encoding the %d items of %s …", len(texts), folder.name)
    parts = []
    for done, part in encoder.encode_many(texts):
        parts.append(part)
        if done % 4096 < 256:
            log.info("  %d of %d", done, len(texts))
    vectors = np.concatenate(parts)
    if cache:
        cache.mkdir(parents=True, exist_ok=True)
        np.save(cache / f"vectors-{key}.npy", vectors)
    return vectors


def _read_json(file: Path) -> dict:
    if not file.is_file():
        return {}
    try:
        value = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise SlimError(f"{file} is not valid JSON ({error}). Mend or remove it.") from None
    return value if isinstance(value, dict) else {}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Encode the items of domain folders and write their vectors.npy.")
    parser.add_argument("folders", nargs="+", type=Path, help="domain folders, each with an items.jsonl")
    parser.add_argument("--encoder", default="", help="path or Hub id of the text encoder (default: installed weights)")
    return parser


def main(args: argparse.Namespace) -> None:
    encoder = TextEncoder(args.encoder)
    for folder in args.folders:
        items, _ = items_from(read_table(folder / "items.jsonl", max_bytes=OWN_FILE), "items.jsonl", CATALOG_LIMIT)
        texts = texts_of(Catalog(folder.name, items))
        vectors = np.concatenate([part for _, part in encoder.encode_many(texts)])
        np.save(folder / "vectors.npy", vectors)
        meta = _read_json(folder / "meta.json")
        meta |= {"encoder": encoder.name, "vectors_key": vectors_key(encoder.name, texts)}
        (folder / "meta.json").write_text(json.dumps(meta, indent=2, ensure_ascii=False) + "\n", "utf-8")
        print(f"{folder}: {vectors.shape[0]} vectors of {vectors.shape[1]} numbers")


if __name__ == "__main__":
    main(make_parser().parse_args())
