"""Trains a sequential recommender: a backbone alone, with item text, with rationales (Eq. 6), or text alone (Eq. 7).

    python -m training.train_recommender --data DATASET --backbone sasrec --variant id --out runs/sasrec
    python -m training.train_recommender --data DATASET --backbone sasrec --variant fused \\
        --rationales assets/rationales/games.jsonl.gz --loss bce --seed 0 --out runs/sasrec-slim
    python -m training.train_recommender --data DATASET --variant text --ranker late --rationales FILE --out runs/text
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.recommenders.checkpoint import ids_digest, save_recommender
from slim_app.recommenders.config import BACKBONE_NAMES, RANKERS, READS, USES_RATIONALE, VARIANTS, RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender
from training.dataset import Dataset, read_dataset
from training.next_item import NOTE, Ranks
from training.recommender.evaluate import Task, make_task, rank
from training.recommender.fit import Settings, fit, log
from training.recommender.losses import LOSSES
from training.recommender.rationales import RationaleTable, read_table, scored_users
from training.recommender.sequences import Sequences, Windows
from training.recommender.start import STARTS, start_from_purchases, start_from_text
from training.recommender.vectors import item_vectors, lacking

DEFAULT_LENGTH = {"srgnn": 20}
"""SR-GNN builds a graph for each prefix, which costs the cube of the length; longer sequences train in windows."""
DEFAULT_LAYERS = {"sasrec": 2}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.train_recommender", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="dataset folder (items.tsv, sequences.tsv)")
    add("--backbone", choices=(*BACKBONE_NAMES, "none"), default="none", help="none: only for --variant text")
    add("--variant", choices=sorted(VARIANTS), required=True, help="; ".join(f"{k}: {v}" for k, v in VARIANTS.items()))
    add("--rationales", type=Path, help=f"JSONL (.gz) for the variants {', '.join(USES_RATIONALE)}")
    add("--missing", choices=("refuse", "none", "skip"), default="refuse",
        help="users without a rationale: refuse them, use the learned input for none, or leave them out of evaluation")
    add("--ranker", choices=sorted(RANKERS), help="default: pooled, the paper's; late for the variant gated")
    add("--reads", choices=sorted(READS), default="id",
        help="what the backbone of the variant fused reads; " + "; ".join(f"{k}: {v}" for k, v in READS.items()))
    add("--steps", default="1,2,3", help="steps of the rationale to read, e.g. 3")
    add("--out", type=Path, required=True, help="folder for model.safetensors and meta.json")
    add("--test", action="store_true", help="also measure the test position, once, with the best epoch's weights")
    add("--encoder", default="", help="path or Hub id; default: the installed weights")
    add("--cache", type=Path, default=Path("data/vectors"), help="folder for text vectors and candidates")
    add("--start", choices=("random", *STARTS), help="where weights begin; "
        + "; ".join(f"{k}: {v}" for k, v in STARTS.items()) + "; default: random, text for the variant gated")
    add("--hidden", type=int, default=64, help="width of item and user vectors")
    add("--layers", type=int, help="default: 2 for sasrec, else 1")
    add("--heads", type=int, default=1, help="of SASRec's attention")
    add("--dropout", type=float, default=0.2)
    add("--max-length", type=int, help="newest items that are read; default: 50, 20 for srgnn")
    add("--loss", choices=sorted(LOSSES), default="bce", help="; ".join(f"{k}: {v}" for k, v in LOSSES.items()))
    for name, text in (
        ("negatives", "items drawn for each batch; 0 = the whole catalogue"), ("lr", "learning rate"),
        ("weight-decay", "AdamW's"), ("batch", "sequences a step"), ("epochs", "at most so many"),
        ("patience", "epochs without a better validation before it stops"),
        ("rationale-weight", "weight in the loss of the positions with a rationale"), ("clip", "largest gradient norm"),
        ("seed", "of weights, order, negatives and dropout"),
    ):  # fmt: skip
        value = getattr(Settings, name.replace("-", "_"))
        add(f"--{name}", type=type(value), default=value, help=f"{text} (default: {value})")
    add("--each", action="store_true", help="draw --negatives for each position; 1 with bce is SASRec's own training")
    add("--threads", type=int, help="CPU threads; default: torch's own choice. The same number gives the same result")
    add("--device", default="cpu", help="cpu or cuda")
    return parser


class Prepared:
    """Everything that a run needs, for parsed flags: data, text vectors, tasks, and a model with fresh weights.

    Raises:
        SlimError: flags that contradict each other, or data that cannot be used.
    """

    def __init__(self, args: argparse.Namespace, encoder: TextEncoder | None = None) -> None:
        threads = args.threads or torch.get_num_threads()
        dataset = read_dataset(args.data)
        self.args, self.sequences = args, Sequences.of(dataset)
        self.settings = Settings(**{name: getattr(args, name) for name in Settings.__dataclass_fields__})
        if (args.variant in USES_RATIONALE) != (args.rationales is not None):
            needs = "needs" if args.variant in USES_RATIONALE else "does not read"
            raise SlimError(f"The variant {args.variant} {needs} --rationales FILE. Change one of the two.")
        encoder = None if args.variant == "id" else encoder or TextEncoder(args.encoder, args.device)
        text = self._item_text(dataset, encoder)
        ranker = args.ranker or ("late" if args.variant == "gated" else "pooled")
        if not all(step.strip().isdecimal() for step in args.steps.split(",")):
            raise SlimError(f"--steps is {args.steps!r}, but must list steps like 1,2,3.")
        self.config = RecommenderConfig(
            args.backbone, args.variant, len(dataset.items), 0 if text is None else text.shape[1], ranker,
            tuple(sorted({int(step) for step in args.steps.split(",")})), args.reads, args.hidden,
            args.layers or DEFAULT_LAYERS.get(args.backbone, 1), args.heads, args.dropout,
            args.max_length or DEFAULT_LENGTH.get(args.backbone, 50),
        )  # fmt: skip
        self.table: RationaleTable | None = None
        if args.rationales:
            c = self.config
            self.table = read_table(args.rationales, self.sequences, encoder, c.ranker, c.steps, args.cache)
        self.windows = Windows(self.sequences, self.config.max_length, *self._rationales("train")[1:])
        self.valid = self.task("valid")
        torch.set_num_threads(threads)  # the encoder sets it, too, but only where nothing comes from the cache
        torch.manual_seed(args.seed)
        self.model = FusedRecommender(self.config, None if text is None else torch.from_numpy(text))
        self.start = args.start or ("text" if args.variant == "gated" else "random")
        self._start()
        self.model.to(args.device)
        self.table = self.table and self.table.to(args.device)
        self.meta = self._meta(dataset, encoder)

    def _start(self) -> None:
        if self.start == "text":
            if self.args.variant == "id":
                raise SlimError("The variant id reads no text, so it cannot start from it. Leave --start text out.")
            start_from_text(self.model)
        elif self.start == "purchases":
            if self.args.variant == "text":
                raise SlimError("The variant text has no IDs that could start from purchases. Leave --start out.")
            start_from_purchases(self.model, self.sequences)

    def task(self, position: str) -> Task:
        """The users, histories, rationales and candidates of the position `valid` or `test`."""
        users, row, upto = self._rationales(position)
        return make_task(self.sequences, position, users, self.config.max_length, self.args.cache,
                         rationale=row, upto=upto)

    def _item_text(self, dataset: Dataset, encoder: TextEncoder | None) -> np.ndarray | None:
        if encoder is None:
            return None
        items = list(dataset.items.values())
        bare = lacking(items)
        if len(bare):
            what = f"{len(bare)} of {len(items)} items have no title, e.g. {items[bare[0]].id}"
            if self.args.variant == "text" or len(bare) == len(items):
                raise SlimError(f"{what}: they cannot be matched by text. Add titles to items.tsv, or remove them.")
            log.warning("%s: a learned vector stands for their text", what)
        return item_vectors(items, encoder, self.args.cache)

    def _rationales(self, position: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Users of a position, and the row and `upto` of each user's rationale."""
        args = self.args
        return scored_users(self.table, self.sequences, position, args.variant, args.missing, args.data)

    def _meta(self, dataset: Dataset, encoder: TextEncoder | None) -> dict[str, Any]:
        args, sequences, table = self.args, self.sequences, self.table
        return {
            "made_by": "training.train_recommender", "backbone": args.backbone, "variant": args.variant,
            "loss": args.loss, "start": self.start, "seed": args.seed, "device": args.device,
            "dataset": {
                "name": dataset.name, "users": len(sequences.users), "items": sequences.n_items,
                "interactions": len(sequences.flat), "simulated": dataset.simulated,
                "items_sha256": ids_digest(list(dataset.items)),
                "sequences_sha256": hashlib.sha256((args.data / "sequences.tsv").read_bytes()).hexdigest(),
            },
            "encoder": encoder and {"name": encoder.name, "dimension": self.config.text_dim},
            "rationales": table and {
                "file": table.file.name, "sha256": table.sha256, "model": table.model, "missing": args.missing,
                "prompt_version": PROMPT_VERSION, "rows": len(table.user),
                "train_positions": int((self.windows.rows >= 0).sum()),
            },
        }  # fmt: skip


def report(ranks: Ranks, task: Task) -> dict[str, Any]:
    """Metrics with the number of users that they are the mean of, and how many of those have a rationale."""
    return {
        "users": len(task.users), "with_rationale": int((task.rationale >= 0).sum()), **ranks.as_dict(),
        "protocol": NOTE,
    }  # fmt: skip


def train(args: argparse.Namespace, encoder: TextEncoder | None = None) -> tuple[Prepared, dict[str, Any]]:
    """Trains for parsed flags; (the run with its model, meta.json's content).

    Raises:
        SlimError: see `Prepared` and `fit`.
    """
    run = Prepared(args, encoder)
    log.info("%d windows to train on, %d users to validate on, %d weights", len(run.windows), len(run.valid.users),
             sum(weight.numel() for weight in run.model.parameters()))
    meta = run.meta | fit(run.model, run.windows, run.valid, run.table, run.settings)
    meta["validation"] = report(rank(run.model, run.valid, run.table), run.valid)
    return run, meta


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        run, meta = train(args)
        if args.test:
            task = run.task("test")
            found = rank(run.model, task, run.table)
            meta["test"] = report(found, task)
            args.out.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(args.out / "test_ranks.npz", sampled=found.sampled, full=found.full,
                                users=np.array([run.sequences.users[n] for n in task.users]))
        save_recommender(args.out, run.model, meta)
        for position in ("validation", "test"):
            if position in meta:
                few, full = meta[position]["101"], meta[position]["full"]
                print(f"{position}: NDCG@10 {few['ndcg@10']:.2f} HR@10 {few['hr@10']:.2f} of 101 candidates; NDCG@10 "
                      f"{full['ndcg@10']:.2f} HR@10 {full['hr@10']:.2f} of the full catalogue")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
