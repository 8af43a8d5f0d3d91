"""Collects the teacher's rationales (T_t, zero-shot) for the users of a dataset, from any OpenAI-compatible server.

    export SLIM_TEACHER_KEY=...
    python -m training.collect_rationales --data DATASET --out teacher.jsonl --url URL --model NAME --dry-run
    python -m training.collect_rationales --data DATASET --out teacher.jsonl --url URL --model NAME

OUT grows by one row for each answer. Stopped or killed, the same command goes on and pays for nothing twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import math
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import teacher_prompt
from training.dataset import read_dataset
from training.jobs import Job, choose_jobs, choose_users
from training.store import RationaleStore, beside, write_json
from training.teacher.batch_state import read_state
from training.teacher.client import KEY_VARIABLE, Teacher
from training.teacher.collection import Collection
from training.teacher.prices import price_of
from training.teacher.report import check_meta, describe, estimate, fingerprint
from training.teacher.run import run

log = logging.getLogger(__name__)
POSITIONS = {"train": ("train",), "test": ("test",), "all": ("train", "test")}
"""No rationale of its own for validation: the one of `train` saw less, so it serves there, too."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.collect_rationales", description=__doc__.split("\n")[0],
        epilog=f"The key is read from the environment variable {KEY_VARIABLE} only.",
    )  # fmt: skip
    whole, positive, price = _number(int, 1), _number(float, 0, above=True), _number(float, 0)
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="dataset: items.tsv, sequences.tsv (prepare_data)")
    add("--out", type=Path, required=True, metavar="FILE", help="JSONL of rationales; continued where it exists")
    add("--url", required=True, help="OpenAI-compatible server, e.g. https://host/v1")
    add("--model", required=True, help="the model's name as the server knows it")
    add("--positions", choices=sorted(POSITIONS), default="train",
        help="train: sequence without its last three items (also for validation); test: without its last item")
    users = parser.add_mutually_exclusive_group()
    users.add_argument("--users", type=whole, metavar="N", help="this many users, drawn with --seed (default: all)")
    users.add_argument("--users-file", type=Path, metavar="FILE", help="only these users: one id a line")
    add("--seed", type=int, default=0, help="of the draw; more users with the same seed include the fewer")
    add("--concurrency", type=whole, default=8, metavar="N", help="requests at the same time (default: 8)")
    add("--requests-per-minute", type=positive, metavar="N", help="most requests in a minute")
    add("--tokens-per-minute", type=positive, metavar="N", help="most tokens in a minute: prompt and --max-tokens")
    add("--max-tokens", type=whole, default=512, metavar="N", help="most tokens of an answer (default: 512)")
    add("--max-cost", type=price, metavar="USD", help="stop before this run costs more")
    add("--price-in", type=price, metavar="USD", help="price of a million prompt tokens; with --batch, of a batch")
    add("--price-out", type=price, metavar="USD", help="price of a million answer tokens")
    add("--retries", type=_number(int, 0), default=5, metavar="N", help="of a request that failed (default: 5)")
    add("--timeout", type=positive, default=60.0, metavar="SECONDS", help="longest wait for an answer (default: 60)")
    add("--batch", action="store_true", help="through the provider's batch mode: within a day, often at half the price")
    add("--batch-size", type=whole, default=50_000, metavar="N", help="most requests in one batch (default: 50000)")
    add("--poll", type=positive, default=60.0, metavar="SECONDS", help="between looks at a batch (default: 60)")
    add("--dry-run", action="store_true", help="print the estimate and send nothing")
    add("--yes", action="store_true", help="do not ask before sending")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Collects what is missing in OUT. Exit status 0: all done; 1: something is left; 130: stopped by a signal."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    logging.getLogger("training").setLevel(logging.INFO)
    try:
        _collect(args)
    except SlimError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        log.warning("Stopped. Run the same command again to continue.")
        sys.exit(130)


def _collect(args: argparse.Namespace) -> None:
    dataset, sha256 = read_dataset(args.data), fingerprint(args.data)
    jobs = choose_jobs(dataset, choose_users(dataset, args.users, args.users_file, args.seed),
                       POSITIONS[args.positions])
    if not jobs:
        raise SlimError(f"--positions {args.positions}: no chosen user of {dataset.name} has a history to read. "
                        "Choose other users or positions.")
    teacher = Teacher(args.url, args.model, os.environ.get(KEY_VARIABLE, ""), args.timeout, args.max_tokens)
    price = price_of(teacher.model, args.price_in, args.price_out, args.batch)
    if args.max_cost is not None and not price:
        raise SlimError(f"--max-cost: the price of {teacher.model} is not known. Add --price-in and --price-out.")
    state = read_state(beside(args.out, "batch"), teacher.model)
    if state and not args.batch:
        raise SlimError(f"{beside(args.out, 'batch')}: a batch of {state['requests']} requests is under way. Add "
                        "--batch to collect it first; its answers are paid for.")
    check_meta(args.out, dataset.name, sha256)
    with contextlib.ExitStack() as stack:
        look_only = args.dry_run and not args.out.exists()
        store = None if look_only else stack.enter_context(RationaleStore(args.out))
        collection = Collection(
            teacher.model, store, lambda job: teacher_prompt(dataset.history(job.user, job.upto)), price
        )
        collection.hide = teacher.hide
        todo = collection.open(jobs)
        _tell(collection, jobs, todo, args)
        if state:
            log.info("Part of this may belong to the batch of %d requests that is under way.", state["requests"])
        if args.dry_run or not (todo or state) or not _agreed(args):
            return
        facts = {
            "data": {"name": dataset.name, "sha256": sha256}, "server": teacher.host, "positions": args.positions,
            "users": args.users_file.name if args.users_file else args.users, "seed": args.seed,
            "max_tokens": args.max_tokens, "mode": "batch" if args.batch else "live",
        }  # fmt: skip
        _write_meta(collection, args.out, facts)
        try:
            failure, interrupted = asyncio.run(run(args, collection, teacher, todo))
        finally:
            _write_meta(collection, args.out, facts)
        _finish(collection, args, collection.open(jobs), failure, interrupted)


def _tell(collection: Collection, jobs: Sequence[Job], todo: Sequence[Job], args: argparse.Namespace) -> None:
    """What is there already, what was given up, and what the rest may cost."""
    collection.learn(jobs)
    stored = [collection.row(job) for job in jobs]
    usable, given_up = sum(bool(row) and not row.get("problem") for row in stored), len(jobs) - len(todo)
    given_up -= usable
    if usable or given_up:
        log.info("%d of %d rationales are in %s already and are not asked for again", usable, len(jobs), args.out)
    if given_up:
        log.warning("%d skipped: two answers could not be used; see `problem` in their rows of %s, and remove those to "
                    "ask again", given_up, args.out)
    print(estimate(collection, todo, args.max_tokens) if todo else f"{args.out} is complete: nothing to send.")


def _agreed(args: argparse.Namespace) -> bool:
    """Asks before money is spent, where somebody can answer and no limit was given."""
    if args.yes or args.max_cost is not None or not sys.stdin.isatty():
        return True
    with contextlib.suppress(EOFError):
        if input("Send? [y/N] ").strip().lower() in {"y", "yes"}:
            return True
    print("Nothing was sent.")
    return False


def _write_meta(collection: Collection, out: Path, facts: dict[str, Any]) -> None:
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    write_json(beside(out, "meta"), describe(collection, out, **facts) | {"updated": now})


def _finish(
    collection: Collection, args: argparse.Namespace, left: Sequence[Job], failure: SlimError | None, interrupted: bool
) -> None:
    """The last words of a run, and its exit status."""
    counts = collection.counts
    log.info("%d rationales collected, %d answers of no use kept with their reason, %d retries, %d left in %s",
             counts["usable"], counts["problem"], counts["retries"], len(left), args.out)
    if interrupted:
        log.warning("Stopped. Run the same command again to continue; nothing is paid for twice.")
        sys.exit(130)
    if failure:
        raise failure
    if counts["failed"]:
        raise SlimError(f"{counts['failed']} requests had no answer after all retries. Run the same command again for "
                        "them; if the server is busy, with a lower --concurrency or --requests-per-minute.")
    if counts["problem"] and not counts["usable"]:
        raise SlimError(f"No answer could be used. See `problem` in the rows of {args.out}, and check --model.")


def _number(kind: type, least: float, above: bool = False) -> Callable[[str], Any]:
    """An argparse type: a finite number from `least`, or above it."""

    def parse(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if not math.isfinite(value) or value < least or (above and value == least):
            words = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"{text!r} is not {words} {'above' if above else 'from'} {least:g}")
        return value

    return parse


if __name__ == "__main__":
    main()
