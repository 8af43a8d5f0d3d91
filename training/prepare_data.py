"""Makes a dataset folder from public review data: k-core, time order, clean titles, a sample of users, splits.

    python -m training.prepare_data --reviews Video_Games_5.json.gz --meta meta_Video_Games.json.gz --out data/games
    python -m training.prepare_data --reviews ml-100k/ml-100k.inter --out data/ml-100k

The same command again continues after the last finished stage. Tens of GB go through in the memory of --memory.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from training.reviews import dataset_writer, kcore
from training.reviews.ingest import ingest_meta, ingest_reviews
from training.reviews.sources import KINDS, Source, find_source
from training.reviews.working_file import Work, key_of, megabytes

log = logging.getLogger("prepare_data")
VERSION = 1
"""Raise it whenever the same input and flags would give another result."""
ORDER = "by time, then by the order in the file"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m training.prepare_data", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--reviews", type=Path, required=True, metavar="FILE",
        help="reviews or interactions: *.json.gz (Amazon 2018), *.jsonl.gz (Amazon 2023), *.inter, sequences.tsv; "
        "packed or not; for the last two a folder will do")
    add("--meta", type=Path, metavar="FILE",
        help="titles, brands, categories: meta_*.json.gz, meta_*.jsonl.gz, *.item, items.tsv (default: looked for "
        "beside --reviews)")
    add("--source", choices=list(KINDS), help="kind of the files (default: told from the name of --reviews)")
    add("--out", type=Path, required=True, metavar="FOLDER", help="the dataset folder to make")
    add("--k-core", type=int, default=5, metavar="K",
        help="keep users and items with at least K different partners, iteratively; 0 keeps all (default 5)")
    add("--users", type=int, metavar="N", help="sample N users after the k-core (default: all)")
    add("--seed", type=int, default=123, help="of the sample: Random(seed).sample(sorted(user ids), N) (default 123)")
    add("--repeats", choices=("first", "keep"), default="first",
        help="an item that a user bought again: keep only the first time, or every time (default first)")
    add("--min-title", type=int, default=1, metavar="CHARS",
        help="items with shorter titles are left out before the k-core; 0 keeps items without a title (default 1)")
    add("--max-broken", type=float, default=0.01, metavar="SHARE",
        help="share of lines that may be broken and skipped (default 0.01)")
    add("--limit", type=int, metavar="LINES", help="read only so many lines of --reviews, to try things out")
    add("--memory", default="2GB", help="what the process may take, about (default 2GB; the rest goes to the disk)")
    add("--overwrite", action="store_true", help="replace another dataset in --out")
    add("--keep", action="store_true", help="keep OUT/.work, so that other flags need not read everything again")
    return parser


def prepare(args: argparse.Namespace) -> dict[str, Any]:
    """Makes the dataset and returns what its `meta.json` says.

    Raises:
        SlimError: unusable flags or files, too many broken lines, nothing left, no disk or memory left.
    """
    memory = _check_flags(args)
    source = find_source(args.source, args.reviews, args.meta, needs_meta=args.min_title > 0)
    keys = _keys(args, source)
    meta_file = args.out / "meta.json"
    if _stored_key(meta_file) == keys["sample"]:
        log.info("%s is complete already: nothing to do", args.out)
        return json.loads(meta_file.read_text("utf-8"))
    if args.out.resolve() == source.reviews.resolve().parent and source.reviews.name in dataset_writer.TABLES:
        raise SlimError(f"--out {args.out} is the folder that is read. Give another --out.")
    _check_out(args.out, args.overwrite)
    stages = (
        ("reviews", lambda: ingest_reviews(work, source, args.limit, args.max_broken)),
        ("metadata", lambda: ingest_meta(work, source, args.max_broken)),
        ("interactions", lambda: kcore.encode(work, args.min_title)),
        ("core", lambda: kcore.core(work, args.k_core)),
        ("sample", lambda: kcore.sample(work, args.users, args.seed, args.repeats == "keep")),
    )
    told: dict[str, dict[str, Any]] = {}
    with Work(args.out / ".work", memory) as work:
        for number, (name, make) in enumerate(stages, 1):
            log.info("stage %d of %d: %s", number, len(stages) + 1, name)
            told[name], before = work.stage(name, keys[name], make)
            if before:
                log.info("finished by an earlier run")
            _log_skipped(name, told[name])
        log.info("stage %d of %d: write", len(stages) + 1, len(stages) + 1)
        statistics = dataset_writer.write_tables(work, args.out)
    meta = _meta(args, source, keys["sample"], told, statistics)
    dataset_writer.write_meta(args.out, meta)
    if not args.keep:
        shutil.rmtree(args.out / ".work", ignore_errors=True)
    return meta


def _check_flags(args: argparse.Namespace) -> int:
    for flag, value, least in (("--k-core", args.k_core, 0), ("--min-title", args.min_title, 0),
                               ("--users", args.users, 1), ("--limit", args.limit, 1)):
        if value is not None and value < least:
            raise SlimError(f"{flag} is {value}, but must be at least {least}.")
    if not 0 <= args.max_broken < 1:
        raise SlimError(f"--max-broken is {args.max_broken}, but must be from 0 to below 1, like 0.01 for one in 100.")
    return megabytes(args.memory)


def _keys(args: argparse.Namespace, source: Source) -> dict[str, str]:
    """Stage → what decides its result; a stage whose key is unchanged is not run again."""
    keys: dict[str, str] = {}
    key = f"version {VERSION}"
    for name, settings in (
        ("reviews", {"kind": source.kind.name, "file": _signature(source.reviews), "limit": args.limit}),
        ("metadata", {"file": _signature(source.meta)}),
        ("interactions", {"min_title": args.min_title}),
        ("core", {"k": args.k_core}),
        ("sample", {"users": args.users, "seed": args.seed if args.users else None, "repeats": args.repeats}),
    ):
        keys[name] = key = key_of(key, **settings)
    return keys


def _signature(file: Path | None) -> list[Any] | None:
    """What changes when a file does; hashing tens of GB before every run would take longer than the run."""
    if file is None:
        return None
    stat = file.stat()
    return [str(file.resolve()), stat.st_size, stat.st_mtime_ns]


def _stored_key(meta_file: Path) -> str | None:
    try:
        return json.loads(meta_file.read_text("utf-8")).get("key")
    except (OSError, ValueError, AttributeError):
        return None


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuses to replace what this command did not begin, e.g. the folder that it reads."""
    if out.exists() and not out.is_dir():
        raise SlimError(f"{out} is a file. Give --out a folder.")
    begun = (out / ".work").is_dir() and not (out / "meta.json").exists()
    there = [name for name in ("meta.json", *dataset_writer.TABLES) if (out / name).exists()]
    if there and not begun and not overwrite:
        raise SlimError(f"{out} holds another dataset ({there[0]}). Give another --out, or --overwrite to replace it.")


def _log_skipped(stage: str, told: dict[str, Any]) -> None:
    for kind in ("broken", "empty"):
        for reason, where in told.get(kind, {}).items():
            log.info("skipped %d lines of %s: %s (first: line %s)", where["lines"], told["file"]["name"], reason,
                     ", ".join(map(str, where["first"])))
    for why, count in told.get("untitled", {}).items():
        log.info("%d items with %d interactions: %s", count["items"], count["interactions"], why)


def _meta(args: argparse.Namespace, source: Source, key: str, told: dict[str, Any], statistics: dict) -> dict[str, Any]:
    reviews, metadata, all_, core = (told[name] for name in ("reviews", "metadata", "interactions", "core"))
    return {
        "made_by": "training.prepare_data",
        "version": VERSION,
        "key": key,
        "source": source.kind.name,
        "files": [info["file"] for info in (reviews, metadata) if info["file"]],
        "settings": {name: getattr(args, name) for name in (
            "k_core", "users", "seed", "repeats", "min_title", "max_broken", "limit")},
        "order": ORDER if source.kind.name != "tsv" else "as in sequences.tsv",
        "read": {
            "lines": reviews["lines"], "interactions": reviews["rows"], "users": all_["users"], "items": all_["items"],
            "metadata_lines": metadata["lines"],
        },
        "skipped": {
            "reviews": reviews["broken"] | reviews["empty"],
            "metadata": metadata["broken"],
            "untitled": all_["untitled"],
            "left_out": bool(args.min_title),
            "repeats": all_["kept"] - core["rounds"][0][0] if args.repeats == "first" else 0,
        },
        "core_rounds": [dict(zip(("pairs", "users", "items"), size, strict=True)) for size in core["rounds"]],
        "sample": {"available": told["sample"]["available"], "drawn": told["sample"]["drawn"]},
        "statistics": statistics,
        "seconds": {name: info["seconds"] for name, info in told.items()},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Writes the folder, and prints its statistics as JSON."""
    args = make_parser().parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%H:%M:%S", level=logging.WARNING)
    log.setLevel(logging.INFO)
    try:
        print(json.dumps(prepare(args)["statistics"], indent=1))
    except KeyboardInterrupt:
        sys.exit("Stopped. The same command continues after the last finished stage.")
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
