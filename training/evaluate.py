"""Trained recommenders at the test position: accuracy, significance, novelty and popularity, sparse users, cost.

    python -m training.evaluate --data DATASET --rationales rationales.jsonl.gz --run "SASRec=runs/sasrec-id-*" \\
        --run "SLIM=runs/sasrec-fused-*" --against "SLIM:SASRec" --out assets/results/recommenders_games.json
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.recommenders.checkpoint import ids_digest
from training import paper
from training.costs import student_cost, teacher_cost
from training.dataset import Dataset, read_dataset
from training.next_item import SEEDS
from training.recommender.baselines import BASELINES, by_popularity, by_text
from training.recommender.cases import cases
from training.recommender.evaluate import make_task
from training.recommender.folders import Found, Opener, digest, parse_runs
from training.recommender.report import K, Reporter, compare
from training.store import write_json
from training.teacher.prices import LIST_PRICES, price_of

log = logging.getLogger("recommend")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="dataset folder (items.tsv, sequences.tsv)")
    add("--run", action="append", default=[], metavar="NAME=FOLDER,…", help="folders of train_recommender that differ "
        "by their seed alone; patterns like runs/sasrec-* are filled in; repeatable")
    add("--rationales", action="append", default=[], type=Path, metavar="FILE",
        help="a file that runs were trained with, told by its content; repeatable")
    add("--baseline", action="append", choices=("all", *BASELINES), help="untrained ranking, beside popularity; "
        "repeatable: " + "; ".join(f"{name}: {text}" for name, text in BASELINES.items()))
    add("--against", action="append", default=[], metavar="A:B,…",
        help="paired tests of run A against the strongest of the others named; repeatable")
    add("--common-users", action="store_true", help="only the users for whom every run has what it needs")
    add("--student-meta", nargs="+", default=[], type=Path, metavar="FILE",
        help="PART.jsonl.meta.json of generate_rationales, parts that ran side by side: the student's seconds")
    add("--machine-price", type=float, metavar="USD", help="an hour of the machine that ran the student")
    add("--teacher", type=Path, metavar="FILE", help="the teacher's JSONL with its usage: the teacher's price")
    add("--teacher-model", default="", help=f"for its list price: {', '.join(LIST_PRICES)}")
    add("--price-in", type=float, metavar="USD", help="price of a million prompt tokens, instead of a list price")
    add("--price-out", type=float, metavar="USD", help="price of a million answer tokens")
    add("--encoder", default="", help="path or Hub id; default: the installed weights")
    add("--cache", type=Path, default=Path("data/vectors"), help="folder for text vectors and candidates")
    add("--device", default="cpu", help="cpu or cuda")
    add("--threads", type=int, help="CPU threads; default: torch's own choice")
    add("--note", default="", help="a sentence for the report")
    add("--out", type=Path, required=True, help="the report (JSON)")
    return parser


def baselines(names: Sequence[str], opener: Opener, counts: np.ndarray) -> dict[str, Found]:
    """Untrained rankings for all users of the test position; (n,) `counts` are the items' training interactions."""
    sequences, items = opener.sequences, list(opener.dataset.items.values())
    users = sequences.users_for("test")
    if not len(users):
        raise SlimError("No sequence has two items, so there is nothing to test. Give longer ones.")
    task = make_task(sequences, "test", users, 1, opener.cache, opener.seeds)
    order = np.argsort(task.users)
    found = {}
    for name in names:
        if name == "popularity":
            ranks = by_popularity(task, counts, K)
        else:
            ranks = by_text(name, task, items, opener.encoder("", name), opener.cache, K)
        arrays = (part[order][None] for part in (ranks.sampled, ranks.full, ranks.top))
        found[name] = Found(users, *arrays, np.full(len(users), -1), {"variant": "baseline", "training_seeds": []})
    return found


def parse_pairs(specs: Sequence[str], names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """A:B,C each → A and [B, C].

    Raises:
        SlimError: a spec that is not like that, or a name that is none of `names`.
    """
    pairs = []
    for spec in specs:
        first, colon, rest = spec.partition(":")
        if not colon or not {first, *rest.split(",")} <= set(names):
            what = f"--against is {spec!r}, but must be A:B or A:B,C of these: {', '.join(names)}"
            raise SlimError(f"{what}. Correct the names.")
        pairs.append((first, rest.split(",")))
    return pairs


def common(found: dict[str, Found]) -> dict[str, Found]:
    """All of them for the users that each one has.

    Raises:
        SlimError: there is no such user.
    """
    users = reduce(np.intersect1d, [one.users for one in found.values()])
    if not len(users):
        raise SlimError("No user is in all runs. Evaluate them apart, or generate the missing rationales.")
    return {name: one.of(users) for name, one in found.items()}


def evaluate(args: argparse.Namespace, encoder: TextEncoder | None = None) -> dict[str, Any]:
    """The report for parsed flags.

    Raises:
        SlimError: flags, folders or files that cannot be used.
    """
    dataset = read_dataset(args.data)
    if args.encoder and encoder is None:
        encoder = TextEncoder(args.encoder, args.device)
    opener = Opener(dataset, args.data, encoder, args.rationales, args.cache, args.device, args.threads)
    runs = parse_runs(args.run)
    wanted = args.baseline or []
    names = [name for name in BASELINES if name == "popularity" or name in wanted or "all" in wanted]
    taken = [name for name in runs if name in names]
    if taken:
        raise SlimError(f"--run {taken[0]} has the name of a baseline. Give it another one.")
    pairs = parse_pairs(args.against, [*names, *runs])
    cost = costs(args, dataset)  # quick, and may be refused: before the long part
    sequences, reporter = opener.sequences, Reporter(opener.sequences)
    found = baselines(names, opener, reporter.counts)
    for name, folders in runs.items():
        found[name] = opener.rank_all(name, folders, K)
        log.info("%s: %d runs, %d users", name, len(folders), len(found[name].users))
    if args.common_users:
        found = common(found)
    report = {
        "made_by": "training.evaluate",
        "dataset": {
            "name": dataset.name, "users": len(sequences.users), "items": sequences.n_items,
            "interactions": len(sequences.flat), "simulated": dataset.simulated,
            "items_sha256": ids_digest(list(dataset.items)), "sequences_sha256": opener.sequences_sha256,
        },
        "position": "test", "candidate_seeds": list(SEEDS), "prompt_version": PROMPT_VERSION, "note": args.note,
        "common_users": args.common_users, "popularity": reporter.catalogue(),
        "runs": {name: _said(reporter.run(one), args.teacher) for name, one in found.items()},
        "significance": [compare(first, others, found, sequences.users) for first, others in pairs],
        "cost": cost, "cases": cases(found, sequences, reporter.counts, reporter.bins),
    }  # fmt: skip
    return report | {"paper": paper.beside(report["dataset"], report["runs"], args.common_users)}


def _said(run: dict[str, Any], teacher: Path | None) -> dict[str, Any]:
    """Names who wrote a run's rationales: the teacher, if they are the file of `--teacher`."""
    if run.get("rationales"):
        written = teacher is not None and digest(teacher) == run["rationales"]["sha256"]
        run["rationales"] = run["rationales"] | {"writer": "teacher" if written else "student"}
    return run


def costs(args: argparse.Namespace, dataset: Dataset) -> dict[str, Any]:
    """The cost table, as far as its files were given."""
    found: dict[str, Any] = {}
    if args.student_meta:
        found["student"] = student_cost(args.student_meta, args.machine_price)
    if args.teacher:
        price = price_of(args.teacher_model, args.price_in, args.price_out, batch=False)
        if price is None and args.teacher_model:
            raise SlimError(f"There is no list price for {args.teacher_model}. Give --price-in and --price-out.")
        found["teacher"] = {"priced_as": args.teacher_model or None, **teacher_cost(args.teacher, dataset, price)}
    return found


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        report = evaluate(args)
        try:
            args.out.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SlimError(f"Cannot make {args.out.parent} ({error.strerror}). Choose another --out.") from None
        write_json(args.out, report)
        for name, run in report["runs"].items():
            few, full = run["accuracy"]["101"]["ndcg@10"], run["accuracy"]["full"]["ndcg@10"]
            print(f"{name}: NDCG@10 {few['mean']:.2f} of 101 candidates, {full['mean']:.2f} of the full catalogue "
                  f"({run['runs']} x {run['candidate_seeds']} seeds, {run['users']} users)")
        for pair in report["significance"]:
            one = pair["101"]["ndcg@10"]
            print(f"{pair['first']} against {pair['second']}: {one['difference']:+.2f} NDCG@10 of 101 candidates "
                  f"({one['interval_95'][0]:.2f} to {one['interval_95'][1]:.2f}, p = {one['p_t_test']:.2g})")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
