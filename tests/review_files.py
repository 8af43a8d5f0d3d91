"""Small review files for the tests of prepare_data, and one way to run it on them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

from training import prepare_data
from training.dataset import read_dataset


def pack(file: Path, records: Iterable[dict | str]) -> Path:
    """One record a line; texts as they are; gzip where the name says so."""
    text = "".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in records)
    file.write_bytes(gzip.compress(text.encode(), 1) if file.suffix == ".gz" else text.encode())
    return file


def review_2018(user: str, item: str, time: int) -> dict:
    text = 'Good, "really"\tgood'
    return {"overall": 5.0, "reviewerID": user, "asin": item, "reviewText": text, "unixReviewTime": time}


def grid(users: int = 6, items: int = 6) -> list[dict]:
    """Every user reviewed every item: a 5-core as it is."""
    return [review_2018(f"U{u}", f"I{i}", 100 * u + i) for u in range(users) for i in range(items)]


def toys(folder: Path) -> Path:
    """A small 2018 pair, a 5-core as it is; returns the reviews."""
    pack(folder / "meta_Toys.json.gz", [{"asin": f"I{i}", "title": f"Thing {i}"} for i in range(6)])
    return pack(folder / "Toys_5.json.gz", grid())


def prepare(reviews: Path, *flags: object, out: str = "out") -> dict:
    """Runs in `reviews`' folder and returns meta.json as `prepare` gives it."""
    folder = reviews.parent if reviews.is_file() else reviews
    args = ["--reviews", str(reviews), "--out", str(folder / out), "--memory", "600MB", *map(str, flags)]
    return prepare_data.prepare(prepare_data.make_parser().parse_args(args))


def sequences(folder: Path) -> dict[str, tuple[str, ...]]:
    return dict(read_dataset(folder / "out").sequences)
