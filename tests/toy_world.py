"""A toy world for the recommenders: users who walk a catalogue, and rationales that know where they go."""

from __future__ import annotations

import json
from pathlib import Path

from slim_app.prompts import PROMPT_VERSION
from training.dataset import read_dataset
from training.train_recommender import make_parser

ITEMS, USERS = 130, 24


def world(folder, lengths=(5, 6, 7, 9)) -> None:
    """Users of 4 lengths; user u walks the catalogue in steps of u + 1."""
    folder.mkdir()
    titles = "".join(f"i{n}\tTitle {n}\n" for n in range(ITEMS))
    (folder / "items.tsv").write_text("item_id\ttitle\n" + titles, "utf-8")
    lines = []
    for u in range(USERS):
        walk = [(7 * u + n * (u + 1)) % ITEMS for n in range(lengths[u % len(lengths)])]
        lines.append(f"u{u}\t" + " ".join(f"i{n}" for n in walk) + "\n")
    (folder / "sequences.tsv").write_text("user_id\titem_ids\n" + "".join(lines), "utf-8")


def row(user: str, upto: int, products, **more) -> dict:
    return {"user_id": user, "upto": upto, "prompt_version": PROMPT_VERSION, "model": "m", "step1": "You like it.",
            "step2": ["A", "B"], "step3": list(products), **more}  # fmt: skip


def write(file, rows) -> None:
    file.write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")


def oracle_file(data: Path, file: Path) -> Path:
    """Rationales that name the item after the last one they saw, for both positions of all users."""
    dataset = read_dataset(data)
    rows = []
    for user, sequence in dataset.sequences.items():
        for upto in (len(sequence) - 3, len(sequence) - 1):
            rows.append(row(user, upto, [dataset.items[sequence[upto]].title]))
    write(file, rows)
    return file


def flags(data, tmp_path, *more: str):
    few = ["--hidden", "16", "--epochs", "3", "--batch", "16", "--negatives", "32", "--cache", str(tmp_path / "cache")]
    return make_parser().parse_args(["--data", str(data), "--out", str(tmp_path / "out"), *few, *more])
