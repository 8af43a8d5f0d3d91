"""How fast recommenders train, score and are evaluated; SASRec beside RecBole's. Figures for the README.

    python -m benchmarks.recommenders --data DATASET            everything, about 50 minutes on an idle machine of two
                                                                cores; writes benchmarks/results/recommenders.json
    python -m benchmarks.recommenders --only online,evaluation --data DATASET             three minutes of it

1. sasrec: this project's SASRec and RecBole's on DATASET take turns on the same machine, with the same sizes, batch,
   loss and CPU threads, until each has trained for --minutes; RecBole lives in an environment of its own, which is
   made in --recbole-venv the first time
2. large: the same on a generated dataset of a million purchases (see benchmarks/made_sequences.py)
3. online: one user against 10,000 and a million generated items, every item scored and by FAISS, in milliseconds
4. evaluation: the test position of all users of DATASET, 101 candidates x 5 seeds and the full catalogue, in seconds
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import made_sequences, online_scoring, sasrec_race
from benchmarks.sasrec_sides import LOSSES, Setup
from slim_app.errors import SlimError
from slim_app.recommenders.config import RecommenderConfig
from slim_app.recommenders.fused import FusedRecommender
from training.dataset import read_dataset
from training.next_item import SEEDS
from training.positions import upto_of
from training.recommender.evaluate import make_task, rank
from training.recommender.rationales import RationaleTable
from training.recommender.sequences import Sequences

ROOT = Path(__file__).resolve().parent.parent
EVALUATED = {
    "SASRec": ("id", "pooled"), "SASRec+": ("plus", "pooled"), "SASRec fused, one vector": ("fused", "pooled"),
    "SASRec gated, late interaction": ("gated", "late"),
}  # fmt: skip
"""Name → variant and ranker of the models whose evaluation is timed."""


def sasrec(args: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Both SASRecs on one dataset, with each loss."""
    pythons = {"slim": Path(sys.executable), "recbole": sasrec_race.make_venv(args.recbole_venv)}
    folder, races = str(data.resolve()), {}
    for loss in args.losses.split(","):
        print(f"SASRec, {LOSSES[loss]}, on {data.name}:", flush=True)
        entrants = {side: (python, Setup(side, folder, loss, args.batch, args.threads, args.seed))
                    for side, python in pythons.items()}  # fmt: skip
        races[loss] = sasrec_race.race(entrants, 60 * args.minutes)
    return {"note": sasrec_race.NOTE, "dataset": data.name, **races}


def large(args: argparse.Namespace) -> dict[str, Any]:
    """The same on generated data."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "generated"
        facts = made_sequences.generate(folder, args.interactions, args.seed)
        return {"generated": facts, **sasrec(args, folder)}


def online(args: argparse.Namespace) -> dict[str, Any]:
    """One user against catalogues of several sizes."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    sizes = [int(size) for size in args.items.split(",")]
    found = {str(size): online_scoring.measure(size, args.users, args.seed) for size in sizes}
    return {"note": online_scoring.NOTE, "catalogues": found}


def evaluation(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds to rank the test targets of all users. What the weights are changes nothing, so they are fresh ones."""
    sequences, draw = Sequences.of(read_dataset(args.data)), np.random.default_rng(args.seed)
    users, count = sequences.users_for("test"), len(sequences.users)
    text, _ = online_scoring.texts(draw, sequences.n_items)
    written, _ = online_scoring.texts(draw, 10 * count)
    rows = {name: draw.integers(len(written), size=(count, m)) for name, m in online_scoring.SEGMENTS.items()}
    seconds, task = online_scoring.timed(make_task, sequences, "test", users, 50, rationale=np.arange(count))
    figures: dict[str, Any] = {
        "dataset": args.data.name, "users": len(users), "items": sequences.n_items, "seeds": len(SEEDS),
        "drawing_candidates_s": round(seconds, 2),
    }  # fmt: skip
    for name, (variant, ranker) in EVALUATED.items():
        width = 0 if variant == "id" else text.shape[1]
        config = RecommenderConfig("sasrec", variant, sequences.n_items, width, ranker)
        model = FusedRecommender(config, torch.from_numpy(text) if width else None)
        upto = upto_of("test", sequences.lengths)
        tensors = torch.from_numpy(rows[ranker]), torch.from_numpy(written)
        table = RationaleTable(Path("generated"), "generated", np.arange(count), upto, *tensors)
        took = [[online_scoring.timed(rank, model, task, table, full=full)[0] for full in (True, False)]
                for _ in range(3)]  # fmt: skip
        both, few = np.median(took, axis=0)
        figures[name] = {"101_and_full_s": round(float(both), 2), "101_alone_s": round(float(few), 2)}
    return figures


def table(result: dict[str, Any]) -> str:
    """The figures as lines of text."""
    rows = []
    for part in (result[name] for name in ("sasrec", "large") if name in result):
        for loss in (name for name in LOSSES if name in part):
            rows += [f"SASRec on {part['dataset']}, {part[loss]['loss']}, {part['threads']} threads"]
            rows += [*sasrec_race.lines(part[loss]), ""]
        rows += [part["note"], ""]
    if "online" in result:
        rows += [*online_scoring.lines(result["online"]["catalogues"]), result["online"]["note"], ""]
    if "evaluation" in result:
        part = result["evaluation"]
        rows.append(
            f"evaluation of {part['users']} users, {part['items']} items, in seconds: 101 x {part['seeds']} candidates "
            f"with the full catalogue, and without it (drawing the candidates, once: {part['drawing_candidates_s']})"
        )
        for name in EVALUATED:
            rows.append(f"  {name:34}{part[name]['101_and_full_s']:>8.2f}{part[name]['101_alone_s']:>8.2f}")
    return "\n".join(rows)


def machine() -> str:
    """What the figures were taken on."""
    versions = f"Python {platform.python_version()}, PyTorch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {versions}"


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--data", type=Path, help="dataset folder (items.tsv, sequences.tsv) of sasrec and evaluation")
    add("--only", default=",".join(PARTS), help="parts to run (default: all); what --out holds of the others stays")
    add("--minutes", type=float, default=5.0, help="of training for each side, dataset and loss (default 5)")
    add("--losses", default=",".join(LOSSES), help="; ".join(f"{name}: {text}" for name, text in LOSSES.items()))
    add("--batch", type=int, default=128, help="sequences a step, on both sides (default 128)")
    add("--threads", type=int, default=os.cpu_count(), help="CPU threads of each side (default: all)")
    add("--interactions", type=int, default=1_000_000, help="of the generated dataset (default 1,000,000)")
    add("--items", default="10000,1000000", help="catalogue sizes of online scoring (default 10000,1000000)")
    add("--users", type=int, default=200, help="users of online scoring (default 200)")
    add("--seed", type=int, default=0)
    add("--recbole-venv", type=Path, default=Path("data/recbole-venv"), help="RecBole's environment; made if missing")
    add("--out", type=Path, default=ROOT / "benchmarks/results/recommenders.json")
    return parser


PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "sasrec": lambda args: sasrec(args, args.data), "large": large, "online": online, "evaluation": evaluation,
}  # fmt: skip


def main(argv: Sequence[str] | None = None) -> dict[str, Any]:
    """Measures, prints and writes.

    Raises:
        SlimError: flags or data that cannot be used, or RecBole cannot be installed.
    """
    args = make_parser().parse_args(argv)
    parts = args.only.split(",")
    for given, known, flag in ((parts, PARTS, "--only"), (args.losses.split(","), LOSSES, "--losses")):
        if not set(given) <= set(known):
            raise SlimError(f"{flag} is “{','.join(given)}”. Choose some of: {', '.join(known)}.")
    if args.data is None and {"sasrec", "evaluation"} & set(parts):
        raise SlimError("sasrec and evaluation read a dataset: give --data FOLDER, or leave them out of --only.")
    torch.set_num_threads(args.threads)
    result = json.loads(args.out.read_text("utf-8")) if args.out.is_file() else {}
    for name in parts:
        about = {"machine": machine(), "threads": args.threads, "load_before": round(os.getloadavg()[0], 2)}
        result[name] = about | PARTS[name](args)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(table({name: result[name] for name in parts}))
    return result


if __name__ == "__main__":
    try:
        main()
    except SlimError as error:
        sys.exit(str(error))
