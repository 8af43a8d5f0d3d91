"""A toy dataset with trained recommenders, for the tests of their evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from conftest import FakeEncoder
from toy_world import oracle_file, world

from training import evaluate, train_recommender

ENCODER = FakeEncoder(dimension=8)


class Toys:
    """A dataset, an oracle's rationales, and runs: two seeds of SASRec alone, one run of text matching."""

    def __init__(self, folder) -> None:
        self.folder, self.data = folder, folder / "games"
        world(self.data)
        self.oracle = oracle_file(self.data, folder / "oracle.jsonl")
        for seed in ("0", "1"):
            self.train(f"id-{seed}", "--backbone", "sasrec", "--variant", "id", "--seed", seed)
        self.train("text", "--variant", "text", "--rationales", str(self.oracle), "--missing", "none")

    def train(self, name: str, *flags: str) -> None:
        train_recommender.main([
            "--data", str(self.data), "--out", str(self.folder / name), "--hidden", "8", "--epochs", "1", "--test",
            "--threads", "1", "--cache", str(self.folder / "cache"), *flags,
        ])  # fmt: skip

    def meta(self, name: str) -> dict:
        return json.loads((self.folder / name / "meta.json").read_text("utf-8"))

    def evaluate(self, *flags: str, data=None) -> dict:
        args = evaluate.make_parser().parse_args([
            "--data", str(data or self.data), "--out", str(self.folder / "report.json"), "--threads", "1",
            "--cache", str(self.folder / "cache"), *flags,
        ])  # fmt: skip
        return evaluate.evaluate(args, ENCODER)


def trained_toys(factory: pytest.TempPathFactory) -> Iterator[Toys]:
    """For a fixture of a whole module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_recommender, "TextEncoder", lambda *_: ENCODER)
        yield Toys(factory.mktemp("evaluate"))
