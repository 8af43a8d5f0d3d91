"""Trained recommenders as `training.evaluate` is given them: NAME=FOLDER,…, a folder for each training seed."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.recommenders.checkpoint import META, REPAIR, load_recommender
from slim_app.recommenders.config import RecommenderConfig
from training.dataset import Dataset
from training.next_item import SEEDS, Ranks
from training.positions import upto_of
from training.recommender.evaluate import make_task, rank
from training.recommender.rationales import RationaleTable, read_table, scored_users
from training.recommender.sequences import Sequences
from training.recommender.vectors import item_vectors


@dataclass(frozen=True)
class Found:
    """What one variant found for p users, by r runs (training seeds) and c candidate seeds."""

    users: np.ndarray
    """(p,) numbers of the users in the sequences, ascending."""
    sampled: np.ndarray
    """(r, p, c) ranks among 101 candidates."""
    full: np.ndarray
    """(r, p) ranks over the full catalogue."""
    top: np.ndarray
    """(r, p, k) rows of the items recommended first."""
    unread: np.ndarray
    """(p,) how many of the purchases before the target the user's rationale did not see; -1 without a rationale."""
    facts: dict[str, Any]
    """For the report: what was trained, with which seeds."""

    def of(self, users: np.ndarray) -> Found:
        """Of these users alone, all of whom it has."""
        kept = np.searchsorted(self.users, users)
        ranks = (array[:, kept] for array in (self.sampled, self.full, self.top))
        return Found(users, *ranks, self.unread[kept], self.facts)


def parse_runs(specs: Sequence[str]) -> dict[str, list[Path]]:
    """NAME=FOLDER,GLOB,… each → name → folders.

    Raises:
        SlimError: a spec that is not like that, a name or a folder given twice, or a pattern that fits nothing.
    """
    runs: dict[str, list[Path]] = {}
    for spec in specs:
        name, equals, patterns = spec.partition("=")
        if not equals or not name or name in runs or set(name) & set(":,"):
            raise SlimError(f"--run is {spec!r}, but must be NAME=FOLDER,…, each name once, without “:” and “,”.")
        folders: list[Path] = []
        for pattern in patterns.split(","):
            matches = sorted(Path(match) for match in glob.glob(pattern) if Path(match).is_dir())
            if not matches:
                raise SlimError(f"--run {name}: no folder {pattern!r}. Train it: {REPAIR} FOLDER")
            folders += matches
        if len({folder.resolve() for folder in folders}) < len(folders):
            raise SlimError(f"--run {name} names a folder twice. Name each once: a run counts as one training seed.")
        runs[name] = folders
    return runs


class Opener:
    """Opens run folders on one dataset; vectors and rationales that several of them read are made once."""

    def __init__(
        self, dataset: Dataset, data: Path, encoder: TextEncoder | None, files: Sequence[Path], cache: Path | None,
        device: str = "cpu", threads: int | None = None, seeds: Sequence[int] = SEEDS,
    ) -> None:  # fmt: skip
        """`files`: rationale files; a run reads the one that it was trained with. `threads`: default torch's choice."""
        self.dataset, self.data, self.cache, self.device, self.seeds = dataset, data, cache, device, tuple(seeds)
        self.sequences, self.threads = Sequences.of(dataset), threads or torch.get_num_threads()
        self.sequences_sha256 = digest(data / "sequences.tsv")
        self._encoder, self._files = encoder, {digest(file): file for file in files}
        self._tables: dict[tuple[Any, ...], RationaleTable] = {}
        self._items: np.ndarray | None = None

    def encoder(self, name: str, reader: str) -> TextEncoder:
        """The encoder, which must be `name` where one is asked for.

        Raises:
            SlimError: it is another one.
        """
        self._encoder = self._encoder or TextEncoder("", self.device)
        if name not in ("", self._encoder.name):
            raise SlimError(f"{reader} reads vectors of the encoder {name}. Give --encoder {name}.")
        return self._encoder

    def rank_all(self, name: str, folders: Sequence[Path], top: int) -> Found:
        """Ranks of all runs of a variant at the test position.

        Raises:
            SlimError: a folder that cannot be read, that belongs to other data, or that is no seed of this variant;
                rationales that were not given or that are missing for a user.
        """
        facts: dict[str, Any] = {}
        seeds, ranks, users, unread = [], [], np.zeros(0, int), np.zeros(0, int)
        for folder in folders:
            meta, same, seed = self._meta(folder)
            if facts and same != facts:
                other = next(key for key in same if same[key] != facts[key])
                what = f"{folder} was trained with {other} = {same[other]}, {folders[0]} with {facts[other]}"
                raise SlimError(f"--run {name}: {what}. Runs of one name differ by their seed alone: give two names.")
            if seed in seeds:
                raise SlimError(f"--run {name}: two of its runs have the seed {seed}. Train one with another --seed.")
            facts = same
            seeds.append(seed)
            found, users, unread = self._rank(folder, meta, top)
            ranks.append(found)
        order = np.argsort(users)
        return Found(
            users[order], *(np.stack([getattr(r, part)[order] for r in ranks]) for part in ("sampled", "full", "top")),
            unread[order], facts | {"training_seeds": seeds},
        )  # fmt: skip

    def _meta(self, folder: Path) -> tuple[dict[str, Any], dict[str, Any], int]:
        again = f"{REPAIR} {folder}".replace("DATASET", str(self.data))
        try:
            meta = json.loads((folder / META).read_text("utf-8"))
            trained_on, of = meta["dataset"]["sequences_sha256"], meta["dataset"]["name"]
            facts, seed = _facts(meta)
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"There is no readable recommender in {folder} ({type(error).__name__})"
            raise SlimError(f"{what}. Train one: {again}") from None
        if trained_on != self.sequences_sha256:
            what = f"The recommender {folder} was trained on sequences of {of} that are not those of {self.data}"
            raise SlimError(f"{what}. Give --data the folder it was trained on, or train it again: {again}")
        return meta, facts, seed

    def _rank(self, folder: Path, meta: dict[str, Any], top: int) -> tuple[Ranks, np.ndarray, np.ndarray]:
        """(ranks, users in their order, `Found.unread`) of one run."""
        text, name, table = None, "", None
        if meta["encoder"]:
            encoder = self.encoder(meta["encoder"]["name"], f"The recommender {folder}")
            name = encoder.name
            if self._items is None:
                self._items = item_vectors(list(self.dataset.items.values()), encoder, self.cache)
            text = self._items
        model = load_recommender(folder, list(self.dataset.items), text, name).model.to(self.device)
        config, missing = model.config, "refuse"
        if config.uses_rationale:
            table = self._table(folder, meta["rationales"], config, self.encoder(name, str(folder)))
            missing = meta["rationales"]["missing"]
        users, row, upto = scored_users(table, self.sequences, "test", config.variant, missing, self.data)
        task = make_task(self.sequences, "test", users, config.max_length, self.cache, self.seeds, row, upto)
        torch.set_num_threads(self.threads)  # the encoder takes all cores and leaves it so
        unread = np.full(len(task.users), -1)
        if upto is not None:
            before = upto_of("test", self.sequences.lengths[task.users])
            unread = np.where(task.rationale >= 0, before - upto[task.users], -1)
        return rank(model, task, table, top=top), task.users, unread

    def _table(
        self, folder: Path, written: dict[str, Any], config: RecommenderConfig, encoder: TextEncoder
    ) -> RationaleTable:
        if written["sha256"] not in self._files:
            what = f"The recommender {folder} was trained with the rationales {written['file']}"
            raise SlimError(f"{what} (sha256 {written['sha256'][:12]}…), and no file of --rationales is that one. "
                            "Give it, or train again with the file that there is.")  # fmt: skip
        key = (written["sha256"], config.ranker, config.steps)
        if key not in self._tables:
            table = read_table(self._files[key[0]], self.sequences, encoder, config.ranker, config.steps, self.cache)
            self._tables[key] = table.to(self.device)
        return self._tables[key]


def _facts(meta: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """What the runs of a variant have in common, and the seed, in which they differ."""
    settings = dict(meta["settings"])
    seed = settings.pop("seed")
    config = {key: meta["config"][key] for key in sorted(meta["config"]) if key not in ("n_items", "text_dim")}
    written = meta["rationales"] and {key: meta["rationales"][key] for key in ("file", "sha256", "model", "missing")}
    return {**config, "start": meta["start"], **settings, "encoder": (meta["encoder"] or {}).get("name"),
            "rationales": written}, seed  # fmt: skip


def digest(file: Path) -> str:
    """SHA-256 of a file.

    Raises:
        SlimError: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise SlimError(f"Cannot read {file} ({error.strerror}). Check the path.") from None
