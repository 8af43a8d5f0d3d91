"""Batch generation against the app's single stream, in one run: rationales and tokens a second.

    python -m benchmarks.generate            # on an idle machine; a few minutes

The demo shoppers of all domains are the users (their whole histories are read). The app's stream writes for one after
the other, as it does for a single visitor; then as many processes as there are cores write for all, each with one
thread. Loading is timed apart: it is paid once for thousands of rationales.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks/results/generate.json"


def write_dataset(folder: Path) -> int:
    """The shoppers' histories and, last, their next purchase (position `test` holds that back); how many there are."""
    folder.mkdir(parents=True)
    titles, users = ["item_id\ttitle"], ["user_id\titem_ids"]
    for domain in sorted((ROOT / "assets/domains").glob("*/items.jsonl")):
        for line in domain.read_text("utf-8").splitlines():
            item = json.loads(line)
            titles.append(f"{item['id']}\t{item['title']}")
        for line in domain.with_name("shoppers.jsonl").read_text("utf-8").splitlines():
            shopper = json.loads(line)
            users.append(f"{shopper['shopper_id']}\t{' '.join([*shopper['history'], shopper['next']])}")
    (folder / "items.tsv").write_text("\n".join(titles) + "\n", "utf-8")
    (folder / "sequences.tsv").write_text("\n".join(users) + "\n", "utf-8")
    return len(users) - 1


def single_stream(folder: Path, count: int) -> dict[str, float]:
    """The app's student, one history after the other."""
    from slim_app.reasoners.engine import Engine
    from slim_app.reasoners.llama_cpp import LlamaCppReasoner
    from slim_app.reasoners.students import DEFAULT_STUDENT, read_student
    from slim_app.schema import RunStats
    from training.dataset import read_dataset
    from training.engines import STUDENTS

    dataset, student = read_dataset(folder), read_student(DEFAULT_STUDENT, STUDENTS)
    reasoner = LlamaCppReasoner(Engine(adapter=student.adapter), tuned=True)
    reasoner.engine.warm_up()
    users = list(dataset.sequences)[:: len(dataset.sequences) // count][:count]
    tokens, begun = 0, time.perf_counter()
    for user in users:
        stats = RunStats()
        for _ in reasoner.stream(dataset.history(user, len(dataset.sequences[user]) - 1), stats):
            pass
        tokens += stats.tokens
    seconds = time.perf_counter() - begun
    return {"rationales": count, "seconds": round(seconds, 1), "rationales_a_second": round(count / seconds, 3),
            "tokens_a_second": round(tokens / seconds, 1)}  # fmt: skip


def batches(folder: Path, out: Path, shards: int, batch: int) -> dict[str, float]:
    """`shards` processes of generate_rationales side by side."""
    begun = time.perf_counter()
    flags = ["--data", str(folder), "--positions", "test", "--threads", "1", "--batch", str(batch)]
    running = [
        subprocess.Popen([sys.executable, "-m", "training.generate_rationales", *flags, "--shard", f"{n}/{shards}",
                          "--out", str(out / f"part-{n}.jsonl")], cwd=ROOT, stderr=subprocess.DEVNULL)
        for n in range(shards)
    ]  # fmt: skip
    if any(process.wait() for process in running):
        sys.exit("generate_rationales failed. Run it alone to see why.")
    wall = time.perf_counter() - begun
    runs = [json.loads((out / f"part-{n}.jsonl.meta.json").read_text("utf-8"))["last_run"] for n in range(shards)]
    writing = max(run["seconds"] for run in runs)
    count, tokens = sum(run["rationales"] for run in runs), sum(run["tokens"] for run in runs)
    return {"processes": shards, "batch": batch, "rationales": count, "seconds": writing,
            "seconds_with_loading": round(wall, 1), "rationales_a_second": round(count / writing, 3),
            "tokens_a_second": round(tokens / writing, 1)}  # fmt: skip


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--single", type=int, default=20, help="rationales of the app's stream")
    parser.add_argument("--shards", type=int, default=os.cpu_count() or 1, help="processes of batch generation")
    parser.add_argument("--batch", type=int, default=64, help="rationales that each of them writes at the same time")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser


def main(args: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "demo"
        write_dataset(folder)
        result: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
            "batches": batches(folder, Path(temporary), args.shards, args.batch),
            "single_stream": single_stream(folder, args.single),
        }
    ratio = result["batches"]["rationales_a_second"] / result["single_stream"]["rationales_a_second"]
    result["ratio"] = round(ratio, 2)
    args.out.write_text(json.dumps(result, indent=1) + "\n", "utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main(make_parser().parse_args())
