"""One SASRec to be trained against the other: this project's or RecBole's, as a process that takes orders by line.

Each line of standard input is an order, each line of standard output its answer (JSON). The first order is a `Setup`,
answered with sizes and versions; then {"train": seconds} trains for so long and stops between two steps, and
{"evaluate": true} ranks the targets of validation and test in the full catalogue, with code that both sides share.
RecBole's side runs in an environment of its own, so nothing is imported up here that only one of the two has.
"""

from __future__ import annotations

import json
import logging
import math
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from training.dataset import read_dataset
from training.metrics import ndcg
from training.next_item import make_case, rank_targets
from training.positions import upto_of
from training.recommender.sequences import Sequences

CHUNK = 256
LOSSES = {"ce": "cross-entropy over the whole catalogue", "bpr": "one sampled negative for each target"}


@dataclass(frozen=True)
class Setup:
    """What both sides have in common."""

    side: str
    data: str
    loss: str
    batch: int
    """Sequences a step. One of this project's has a target at each place, one of RecBole's has one target."""
    threads: int
    seed: int = 0
    users: int = 3000
    """At most so many are evaluated, chosen by the seed."""
    hidden: int = 64
    layers: int = 2
    heads: int = 1
    dropout: float = 0.2
    max_length: int = 50
    lr: float = 1e-3


class Side(Protocol):
    model: torch.nn.Module
    sequences_in_epoch: int

    def steps(self) -> Iterator[tuple[int, int, float]]:
        """Trains without end: (sequences, targets, loss) of each step."""

    def scorer(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """(P, T) histories padded right and (P,) lengths → (P, n) scores of all items, by the weights as they are."""


class Slim:
    """This project's SASRec, trained as `training.train_recommender` trains it."""

    def __init__(self, setup: Setup, sequences: Sequences) -> None:
        from slim_app.recommenders.config import RecommenderConfig
        from slim_app.recommenders.fused import FusedRecommender
        from training.recommender.fit import Settings, make_optimizer
        from training.recommender.sequences import Windows

        o = setup
        config = RecommenderConfig("sasrec", "id", sequences.n_items, hidden=o.hidden, layers=o.layers, heads=o.heads,
                                   dropout=o.dropout, max_length=o.max_length)  # fmt: skip
        loss = {"ce": {"loss": "softmax", "negatives": 0}, "bpr": {"loss": "bce", "negatives": 1, "each": True}}
        self.settings = Settings(lr=o.lr, batch=o.batch, seed=o.seed, **loss[o.loss])
        self.model, self.windows = FusedRecommender(config), Windows(sequences, o.max_length)
        self.optimizer = make_optimizer(self.model, self.settings)
        self.sequences_in_epoch = len(self.windows)

    def steps(self) -> Iterator[tuple[int, int, float]]:
        from training.recommender.fit import train_step

        generator = torch.Generator().manual_seed(self.settings.seed)
        while True:
            for batch in self.windows.batches(self.settings.batch, generator):
                self.model.train()
                loss = train_step(self.model, batch, None, self.settings, self.optimizer, generator)
                yield len(batch.items), int((batch.targets != self.model.padding).sum()), loss

    def scorer(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        items = self.model.items(torch.arange(self.model.config.n_items))

        def score(histories: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            states = self.model.states(torch.from_numpy(histories))
            return (states[torch.arange(len(lengths)), torch.from_numpy(lengths) - 1] @ items.T).numpy()

        return score


class RecBole:
    """RecBole's SASRec, its own data loader and the epoch of its own trainer; one sequence for each prefix."""

    def __init__(self, setup: Setup, sequences: Sequences) -> None:
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.model.sequential_recommender import SASRec
        from recbole.trainer import Trainer

        self.folder = tempfile.TemporaryDirectory()
        os.chdir(self.folder.name)  # it keeps a log where it runs
        write_atomic_file(sequences, Path(self.folder.name))
        o, pairs = setup, setup.loss == "bpr"
        config = Config("SASRec", "bench", config_dict={
            "data_path": self.folder.name, "checkpoint_dir": self.folder.name, "use_gpu": False, "state": "ERROR",
            "show_progress": False, "seed": o.seed, "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
            "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "mode": "full"}, "repeatable": True,
            "loss_type": "BPR" if pairs else "CE", "train_batch_size": o.batch, "learning_rate": o.lr,
            "train_neg_sample_args": {"distribution": "uniform", "sample_num": 1} if pairs else None,
            "MAX_ITEM_LIST_LENGTH": o.max_length, "hidden_size": o.hidden, "inner_size": o.hidden,
            "n_layers": o.layers, "n_heads": o.heads, "hidden_act": "relu", "layer_norm_eps": 1e-5,
            "hidden_dropout_prob": o.dropout, "attn_dropout_prob": o.dropout,
        })  # fmt: skip
        dataset = create_dataset(config)
        self.batches = data_preparation(config, dataset)[0]
        self.model = SASRec(config, self.batches.dataset)
        self.trainer, self.sequences_in_epoch = Trainer(config, self.model), len(self.batches.dataset)
        known = dataset.field2token_id[dataset.iid_field]  # what nobody bought it does not know: 0, its padding
        self.rows = torch.tensor([known.get(str(n), 0) for n in range(sequences.n_items)])

    def steps(self) -> Iterator[tuple[int, int, float]]:
        epoch = 0
        while True:
            for batch in self.batches:
                loss = self.trainer._train_epoch([batch], epoch)
                yield len(batch), len(batch), loss
            epoch += 1

    def scorer(self) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        items = self.model.item_embedding.weight[self.rows]
        to_row = torch.cat([self.rows, torch.zeros(1, dtype=self.rows.dtype)])

        def score(histories: np.ndarray, lengths: np.ndarray) -> np.ndarray:
            found = self.model(to_row[histories], torch.from_numpy(lengths)) @ items.T
            return found.masked_fill(self.rows == 0, float("-inf")).numpy()

        return score


SIDES: dict[str, Callable[[Setup, Sequences], Side]] = {"slim": Slim, "recbole": RecBole}


def write_atomic_file(sequences: Sequences, folder: Path) -> None:
    """RecBole's format of interactions; items and users are numbers, the time is the place in the sequence."""
    (folder / "bench").mkdir()
    users = np.repeat(np.arange(len(sequences.users)), sequences.lengths)
    places = np.arange(len(sequences.flat)) - np.repeat(sequences.starts, sequences.lengths)
    lines = (f"{u}\t{i}\t{t}\n" for u, i, t in zip(users, sequences.flat, places, strict=True))
    with (folder / "bench/bench.inter").open("w") as stream:
        stream.write("user_id:token\titem_id:token\ttimestamp:float\n")
        stream.writelines(lines)


class Worker:
    """A side, how long it has trained, and the users that it is evaluated on."""

    def __init__(self, setup: Setup) -> None:
        torch.set_num_threads(setup.threads)
        torch.manual_seed(setup.seed)
        self.setup, self.sequences = setup, Sequences.of(read_dataset(Path(setup.data)))
        self.side = SIDES[setup.side](setup, self.sequences)
        self.steps = self.side.steps()
        self.done = 0
        people = self.sequences.users_for("train")
        if len(people) > setup.users:
            people = np.sort(np.random.default_rng(setup.seed).choice(people, setup.users, replace=False))
        self.people = people
        self.cases = {position: self._cases(position) for position in ("valid", "test")}

    def describe(self) -> dict[str, Any]:
        train = upto_of("train", self.sequences.lengths)
        return {
            "torch": torch.__version__, "numpy": np.__version__, "threads": torch.get_num_threads(),
            "weights": sum(weight.numel() for weight in self.side.model.parameters()),
            "sequences_in_epoch": self.side.sequences_in_epoch, "targets_in_epoch": int(train.clip(0).sum()),
            "users_evaluated": len(self.people), "items": self.sequences.n_items,
        }  # fmt: skip

    def train(self, seconds: float) -> dict[str, float]:
        sequences = targets = steps = 0
        loss = math.nan
        begun = time.perf_counter()
        while (took := time.perf_counter() - begun) < seconds:
            count, more, loss = next(self.steps)
            sequences, targets, steps = sequences + count, targets + more, steps + 1
        self.done += sequences
        return {"seconds": took, "sequences": sequences, "targets": targets, "steps": steps, "loss": float(loss),
                "epochs": self.done / self.side.sequences_in_epoch}  # fmt: skip

    @torch.inference_mode()
    def evaluate(self) -> dict[str, Any]:
        """NDCG@10 x 100 over the full catalogue, by the code that both sides share; of the test that of each user."""
        self.side.model.eval()
        score = self.side.scorer()
        found = {}
        for position, cases in self.cases.items():
            shown = upto_of(position, self.sequences.lengths[self.people])
            histories, lengths = self.sequences.prefixes(self.people, shown, self.setup.max_length)
            parts = range(0, len(histories), CHUNK)
            rows = (row for n in parts for row in score(histories[n : n + CHUNK], lengths[n : n + CHUNK]))
            found[position] = 100 * ndcg(rank_targets(cases, rows).full, 10)
        return {name: float(values.mean()) for name, values in found.items()} | {"users": found["test"].tolist()}

    def _cases(self, position: str) -> list:
        s, cases = self.sequences, []
        for user in self.people:
            sequence = s.flat[s.starts[user] : s.starts[user] + s.lengths[user]].tolist()
            upto = upto_of(position, len(sequence))
            cases.append(make_case(s.users[user], sequence, upto, s.n_items, seeds=(0,)))
        return cases


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    worker = None
    for line in sys.stdin:
        order = json.loads(line)
        if worker is None:
            worker = Worker(Setup(**order))
            answer = worker.describe()
        else:
            answer = worker.train(order["train"]) if "train" in order else worker.evaluate()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
