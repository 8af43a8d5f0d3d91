"""How fast and in how much memory `prepare_data` gets through a large review file. Figures for the README.

    python -m benchmarks.prepare                    5 million generated reviews; writes benchmarks/results/prepare.json
    python -m benchmarks.prepare --rows 200000      a minute's check on the way

1. generate: reviews and metadata in Amazon's 2023 format, seeded, 300-500 bytes a review; popularity of items and
   activity of users follow Zipf's law, as in the real files: most reviewers wrote once
2. run `python -m training.prepare_data` in its own process: rows/s, seconds a stage, peak of its resident memory
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import duckdb
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
BLOCK = 100_000
"""Reviews made at once."""


def generate(folder: Path, rows: int, seed: int) -> tuple[Path, Path]:
    """A review file and its metadata: a tenth as many items as users, a third as many users as reviews."""
    draw = np.random.default_rng(seed)
    users, items = max(rows // 3, 10), max(rows // 30, 10)
    reviews, meta = folder / "Bench.jsonl.gz", folder / "meta_Bench.jsonl.gz"
    words = np.array(["".join(draw.choice(list("abcdefghijklmnopqrstuvwxyz"), size)) for size in
                      draw.integers(2, 10, size=5_000)])
    with gzip.open(reviews, "wb", compresslevel=4) as stream:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            stream.write("".join(_reviews(draw, words, users, items, count)).encode())
    with gzip.open(meta, "wb", compresslevel=4) as stream:
        for start in range(0, items, BLOCK):
            stream.write("".join(_products(draw, words, range(start, min(start + BLOCK, items)))).encode())
    return reviews, meta


def _reviews(draw: np.random.Generator, words: np.ndarray, users: int, items: int, count: int) -> list[str]:
    who, what = (_zipf(draw, size, count, power) for size, power in ((users, 0.75), (items, 0.9)))
    times = draw.integers(1_000_000_000_000, 1_690_000_000_000, size=count)
    lengths = draw.integers(15, 40, size=count)
    texts = words[draw.integers(len(words), size=int(lengths.sum()))]
    ends = lengths.cumsum()
    return [
        f'{{"rating": 5.0, "title": "{texts[end - 1]}", "text": "{" ".join(texts[end - length : end])}", "images": [], '
        f'"asin": "B{item:09d}", "parent_asin": "B{item:09d}", "user_id": "AE{user:026d}", "timestamp": {at}, '
        '"helpful_vote": 0, "verified_purchase": true}\n'
        for user, item, at, length, end in zip(who, what, times, lengths, ends, strict=True)
    ]


def _products(draw: np.random.Generator, words: np.ndarray, numbers: range) -> list[str]:
    return [
        json.dumps({
            "main_category": "Bench", "title": f"{' '.join(draw.choice(words, 8))} &amp; {number}",
            "features": [" ".join(draw.choice(words, 20))], "description": [" ".join(draw.choice(words, 60))],
            "store": str(words[number % 999]), "categories": ["Bench", f"Shelf {number % 40}"],
            "details": {"Brand": str(words[number % 999])}, "parent_asin": f"B{number:09d}",
        }) + "\n"
        for number in numbers
    ]


def _zipf(draw: np.random.Generator, size: int, count: int, power: float) -> np.ndarray:
    """Numbers below `size`, the n-th with a weight of about 1 / n^power (inverse of the continuous distribution)."""
    uniform = draw.random(count)
    return ((uniform * (size ** (1 - power) - 1) + 1) ** (1 / (1 - power)) - 1).astype(np.int64)


def run(reviews: Path, meta: Path, out: Path, memory: str) -> dict:
    """One run in its own process, with the peak of its memory and of the disk that it used."""
    command = [sys.executable, "-m", "training.prepare_data", "--reviews", str(reviews), "--meta", str(meta),
               "--out", str(out), "--users", "3000", "--memory", memory]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    disk, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.5):
            disk.append(sum(_size(file) for file in (out / ".work").rglob("*")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    _, status, usage = os.wait4(process.pid, 0)
    done.set()
    watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"prepare_data ended with {process.returncode}; its message stands above.")
    return {
        "seconds": time.perf_counter() - start,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_memory_mb": usage.ru_maxrss * 1024 / 1e6,
        "peak_work_disk_mb": max(disk) / 1e6,
    }


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # gone between listing and asking


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=5_000_000, help="reviews to generate (default 5,000,000)")
    parser.add_argument("--memory", default="2GB", help="--memory of prepare_data (default 2GB)")
    parser.add_argument("--seed", type=int, default=0, help="of the generated reviews (default 0)")
    parser.add_argument("--folder", type=Path, help="where to generate (default: a temporary folder)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/prepare.json")
    return parser


def main(args: argparse.Namespace) -> dict:
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        reviews, meta = generate(folder, args.rows, args.seed)
        figures = run(reviews, meta, folder / "out", args.memory)
        told = json.loads((folder / "out/meta.json").read_text("utf-8"))
        result = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
            f"DuckDB {duckdb.__version__}",
            "load_before": round(os.getloadavg()[0], 2),
            "rows": args.rows,
            "reviews_mb_packed": round(reviews.stat().st_size / 1e6, 1),
            "metadata_lines": told["read"]["metadata_lines"],
            "memory_flag": args.memory,
            "rows_per_s": round(args.rows / figures["seconds"]),
            "rows_per_s_reading": round(args.rows / told["seconds"]["reviews"]),
            **{key: round(value, 1) for key, value in figures.items()},
            "stage_seconds": told["seconds"],
            "core_rounds": len(told["core_rounds"]) - 1,
            "left_after_core": told["core_rounds"][-1],
            "statistics": told["statistics"],
        }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(json.dumps(result, indent=2))
    return result


if __name__ == "__main__":
    main(make_parser().parse_args())
