"""The student over all users of a dataset: the rationales that the recommenders train and test with.

    python -m training.generate_rationales --data DATASET --out rationales.jsonl           # on this CPU or GPU
    python -m training.generate_rationales --data DATASET --out part-0.jsonl --shard 0/4   # one of four machines
    python -m training.generate_rationales --data DATASET --out rationales.jsonl --engine endpoint --url URL --model M
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION
from slim_app.rationale import parse
from slim_app.schema import Item, RunStats, shown
from training.dataset import Dataset, read_dataset
from training.engines import ENGINES, Write
from training.jobs import Job, choose_jobs, choose_users
from training.positions import POSITIONS
from training.store import RationaleStore, beside, write_json

log = logging.getLogger("generate")
FAILURES_IN_A_ROW = 8
"""After so many, the engine is taken to be broken, and the run stops."""


def shard_of(users: Sequence[str], shard: str) -> Sequence[str]:
    """Part I of N of the users, for `I/N` with I from 0.

    Raises:
        SlimError: a shard that is not like that.
    """
    number, slash, count = shard.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal() and int(number) < int(count)):
        raise SlimError(f"--shard is {shard!r}, but must be like 0/4: this part, counted from 0, and how many parts.")
    return users[int(number) :: int(count)]


def row_of(job: Job, text: str, stats: RunStats, model: str) -> dict[str, Any]:
    """What is stored: the text and its parts; `problem` says in words what is missing."""
    rationale = parse(text, cut=stats.finish_reason == "length")
    row = {
        "user_id": job.user, "upto": job.upto, "prompt_version": PROMPT_VERSION, "model": model,
        "step1": " ".join(rationale.step1), "step2": list(rationale.step2), "step3": list(rationale.step3),
        "text": text, "tokens": stats.tokens, "finish_reason": stats.finish_reason,
    }  # fmt: skip
    return row if rationale.complete else row | {"problem": "; ".join(rationale.problems) or "not complete"}


class Run:
    """Writes what a store lacks and counts; `on_done` is what an engine calls."""

    def __init__(self, jobs: Sequence[Job], dataset: Dataset, store: RationaleStore, model: str) -> None:
        self.store, self.model = store, model
        todo = [job for job in jobs if (job.user, job.upto, PROMPT_VERSION, model) not in store.rows]
        histories = [dataset.history(job.user, job.upto) for job in todo]
        # of like length together: batches hold little padding and end at about the same time
        order = sorted(range(len(todo)), key=lambda n: sum(len(item.title) for item in shown(histories[n])))
        self.todo = [todo[n] for n in order]
        self.histories: list[Sequence[Item]] = [histories[n] for n in order]
        log.info("%d rationales are stored, %d are to be written", len(jobs) - len(todo), len(todo))
        self.counts: dict[str, float] = {"rationales": 0, "tokens": 0, "failed": 0, "with_problem": 0, "seconds": 0.0}
        self.failure: SlimError | None = None

    def write(self, write: Write, stop: threading.Event) -> None:
        """Blocks until all is written or `stop` is set.

        Raises:
            SlimError: the engine failed many times in a row, or the disk is full.
        """
        from tqdm import tqdm

        begun, in_a_row, counts = time.perf_counter(), 0, self.counts
        with tqdm(total=len(self.todo), unit="rationale", smoothing=0.05, disable=None) as bar:

            def on_done(number: int, text: str, stats: RunStats, error: SlimError | None) -> None:
                nonlocal in_a_row
                job = self.todo[number]
                in_a_row = in_a_row + 1 if error else 0
                if error is not None:
                    counts["failed"] += 1
                    log.warning("user %s, upto %d: %s", job.user, job.upto, error)
                    if in_a_row >= FAILURES_IN_A_ROW:
                        self.failure = error
                        stop.set()
                    return
                row = row_of(job, text, stats, self.model)
                self.store.append(row)
                counts["rationales"] += 1
                counts["tokens"] += stats.tokens
                counts["with_problem"] += "problem" in row
                bar.update()
                bar.set_postfix_str(f"{counts['tokens'] / (time.perf_counter() - begun):.0f} tokens/s", refresh=False)

            write(self.histories, on_done, stop)
        counts["seconds"] = round(time.perf_counter() - begun, 1)
        if self.failure is not None:
            stored = f"{FAILURES_IN_A_ROW} failures in a row; {counts['rationales']} rationales were stored"
            raise SlimError(f"{self.failure} ({stored}.)")
        if counts["failed"]:
            log.warning("%d rationales failed; the same command tries them again", counts["failed"])
        if counts["with_problem"]:
            log.warning("%d rationales lack a part; their rows say which (`problem`)", counts["with_problem"])


def check_meta(file: Path, info: dict[str, Any]) -> None:
    """Refuses to continue a file that another engine or decoding wrote: its texts would differ in kind.

    Raises:
        SlimError: OUT.meta.json names another engine, grammar or prompt version.
    """
    if not file.is_file():
        return
    try:
        earlier = json.loads(file.read_text("utf-8"))
        other = {key: earlier.get(key) for key in info if earlier.get(key) != info[key]}
    except (OSError, ValueError, AttributeError) as error:
        raise SlimError(f"{file} cannot be read ({error}). Remove it to continue its rationales anyway.") from None
    if other:
        what = ", ".join(f"{key} = {value}" for key, value in other.items())
        raise SlimError(f"{file.name} says that these rationales were written with {what}. Give another --out.")


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.generate_rationales", description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--data", type=Path, required=True, help="dataset folder (items.tsv, sequences.tsv)")
    add("--out", type=Path, required=True, help="JSONL to begin or to continue; OUT.meta.json is written beside it")
    add("--positions", choices=("all", *POSITIONS), default="all",
        help="train: sequence without its last three items (also for validation); test: without its last; all: both")
    add("--student", default="smollm2-135m", help="folder under assets/students, a path to one, or `base` (untuned)")
    add("--engine", choices=sorted(ENGINES), default="transformers",
        help="transformers: batches, merged weights; llama.cpp: as the app writes; endpoint: a model server")
    add("--grammar", action="store_true", help="llama.cpp only: hold the three-step form, as the app does")
    add("--batch", type=int, default=64, help="rationales written at the same time")
    add("--device", default="", help="transformers only: cpu, cuda …; default: cuda where there is one")
    add("--threads", type=int, default=0, help="transformers on CPU only: threads of this process; default: all cores")
    add("--url", default="", help="endpoint only: base URL, ending in /v1 (key: SLIM_STUDENT_KEY)")
    add("--model", default="", help="endpoint only: the model's name there")
    add("--users-file", type=Path, help="only these user ids, one a line")
    add("--shard", default="0/1", metavar="I/N", help="only part I (from 0) of N of the users; parts can be joined")
    add("--limit", type=int, help="only the first users of this shard")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Generates what is missing in OUT; an interrupted run continues with the same command."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    positions, stop = ["train", "test"] if args.positions == "all" else [args.positions], threading.Event()
    previous = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        dataset = read_dataset(args.data)
        users = shard_of(choose_users(dataset, None, args.users_file, 0), args.shard)[: args.limit]
        jobs = choose_jobs(dataset, users, positions)
        if not jobs:
            raise SlimError(f"Nobody in {args.data} has a history to read. Check --data, --positions and --shard.")
        if args.grammar and args.engine != "llama.cpp":
            raise SlimError("--grammar needs --engine llama.cpp: the other engines write freely.")
        with RationaleStore(args.out) as store:
            model, info, write = ENGINES[args.engine](args)
            info |= {"dataset": dataset.name, "prompt_version": PROMPT_VERSION}
            check_meta(beside(args.out, "meta"), info)
            run = Run(jobs, dataset, store, model)
            meta = {"model": model, **info, "positions": positions, "shard": args.shard}
            write_json(beside(args.out, "meta"), meta)
            run.write(write, stop)
            write_json(beside(args.out, "meta"), meta | {"last_run": run.counts})
        if stop.is_set():
            sys.exit(f"Stopped after {run.counts['rationales']} rationales. The same command continues.")
        if run.counts["failed"]:
            sys.exit(1)
    except SlimError as error:
        sys.exit(str(error))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    main()
