"""Rationale quality of several writers on the same held-out users: form, grounding, likeness, next-item ranking.

    python -m training.evaluate_rationales --data DATASET --teacher games_test.jsonl \\
        --writer base=base.jsonl --writer student=student.jsonl --out assets/results/rationales_games.json
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from training.data import load
from training.dataset import read_dataset
from training.next_item import NOTE, SEEDS
from training.store import write_json
from training.writers import TEACHER, Evaluation, cases_of, domain_of, evaluate, log, read_writer


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate_rationales", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="dataset folder (items.tsv, sequences.tsv)")
    add("--teacher", type=Path, required=True, help="the teacher's JSONL; its (user, upto) rows are the test cases")
    add("--writer", action="append", default=[], metavar="NAME=FILE", help="another writer's JSONL; repeatable")
    add("--only-held-out", action="store_true", help="only the tenth of the users that distillation holds out")
    add("--limit", type=int, help="only the first cases")
    add("--encoder", default="", help="path or Hub id; default: the installed weights")
    add("--cache", type=Path, default=Path("data/vectors"), help="folder for the items' vectors")
    add("--student", help="also measure this student's and its base's loss on the teacher's texts")
    add("--note", default="", help="a sentence for the report, e.g. how the texts were decoded")
    add("--out", type=Path, required=True, help="the report (JSON)")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        dataset = read_dataset(args.data)
        wanted = cases_of(args.teacher, dataset, args.only_held_out)[: args.limit]
        files = {TEACHER: args.teacher}
        for spec in args.writer:
            name, equals, file = spec.partition("=")
            if not equals or name in files:
                raise SlimError(f"--writer is {spec!r}, but must be NAME=FILE, each name once.")
            files[name] = Path(file)
        writers = {name: read_writer(file, wanted) for name, file in files.items()}
        encoder = TextEncoder(args.encoder)
        evaluation = Evaluation(dataset, wanted, domain_of(dataset, encoder, args.cache), encoder)
        report = {
            "protocol": {
                "dataset": dataset.name, "users": len(wanted), "catalogue": len(evaluation.domain.catalog),
                "candidates": NOTE, "seeds": list(SEEDS), "encoder": encoder.name, "trained": "nothing but the writers",
                "prompt_version": PROMPT_VERSION, "note": args.note,
            },
            **evaluate(evaluation, writers),
        }  # fmt: skip
        if args.student:
            from training.rationale_loss import losses

            rows = {(row.id, len(row.history)): row for row in load(f"{args.teacher}={args.data}").rows}
            report["loss"] = losses(args.student, [rows[case] for case in wanted])
        args.out.parent.mkdir(parents=True, exist_ok=True)
        write_json(args.out, report)
        print(json.dumps(report["share_of_teacher_lead"], indent=1))
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
