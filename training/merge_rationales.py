"""Parts of a generation (shards, machines) as one file, by key; `.gz` packs it for the repository.

    python -m training.merge_rationales part-0.jsonl part-1.jsonl --out assets/rationales/games.jsonl.gz
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from training.files import read_jsonl
from training.store import beside, key_of, write_json

SAME = ("model", "prompt_version", "engine", "grammar", "dtype", "dataset")
"""What all parts must agree on; `device` may differ."""


def merge(parts: Sequence[Path]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(rows by user and upto, what their meta.json files agree on). Of rows with one key the last counts.

    A row's `text` goes where its parts say the same; `user_id, upto, step1, step2, step3` stay.

    Raises:
        SlimError: parts without a meta.json, of different models or engines, or with unreadable rows.
    """
    rows: dict[Any, dict[str, Any]] = {}
    facts: dict[str, Any] = {}
    for part in parts:
        try:
            meta = json.loads(beside(part, "meta").read_text("utf-8"))
            found = {key: meta[key] for key in SAME}
        except (OSError, ValueError, KeyError, TypeError) as error:
            what = f"{beside(part, 'meta')} is missing or damaged ({error!r})"
            raise SlimError(f"{what}. Give files that generate_rationales has written.") from None
        if facts and found != facts:
            other = next(key for key in SAME if found[key] != facts[key])
            raise SlimError(f"{part} was written with {other} = {found[other]}, {parts[0]} with {facts[other]}. "
                            "Merge only parts of one generation.")  # fmt: skip
        facts = found
        for place, row in read_jsonl(part):
            try:
                key = key_of(row)
            except (KeyError, TypeError, ValueError):
                raise SlimError(f"{place}: not a stored rationale. Repair or remove the line.") from None
            if key[2:] != (facts["prompt_version"], facts["model"]):
                continue  # an earlier student's, kept in the file but not part of this generation
            dropped = () if row.get("problem") else ("text", "finish_reason")
            rows[key] = {name: value for name, value in row.items() if name not in dropped}
    if not rows:
        raise SlimError("The parts hold no rationale. Generate some first.")
    return [rows[key] for key in sorted(rows, key=lambda k: (len(k[0]), k))], facts


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.merge_rationales", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="+", type=Path, help="JSONL files of generate_rationales")
    parser.add_argument("--out", type=Path, required=True, help="the file to write; packed if it ends in .gz")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Merges, writes OUT and OUT.meta.json, and prints what is in it."""
    args = make_parser().parse_args(argv)
    try:
        rows, facts = merge(args.parts)
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
        if args.out.suffix == ".gz":
            data = gzip.compress(data, 9, mtime=0)  # the same rows, the same bytes
        meta = facts | {
            "rationales": len(rows), "users": len({row["user_id"] for row in rows}),
            "with_problem": sum("problem" in row for row in rows), "tokens": sum(row.get("tokens", 0) for row in rows),
            "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data),
        }  # fmt: skip
        temporary = args.out.with_name(args.out.name + ".new")
        try:
            args.out.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, args.out)
        except OSError as error:
            raise SlimError(f"Cannot write {args.out} ({error.strerror}). Free some space and run it again.") from None
        write_json(beside(args.out, "meta"), meta)
        print(json.dumps(meta, indent=1))
    except SlimError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
