"""How fast steering is: from an edit of the rationale to the re-ranked list, and to what each segment lifts and sinks.

    python -m benchmarks.steering      half a minute; writes benchmarks/results/steering.json

The recorded rationales of a domain's sample shoppers, edited as a person would: a segment struck out, weighed,
rewritten or added, one after the other; words that the encoder has not seen are new in every edit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from pathlib import Path

import numpy as np

from slim_app.domain import Domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.rationale import format_rationale, parse
from slim_app.rationale_edits import Edits
from slim_app.recommenders.rankers import choose_ranker, rankers_of
from slim_app.schema import Shopper
from slim_app.steering import steer

ROOT = Path(__file__).resolve().parent.parent
TARGET_MS = 150
KINDS = ("strike", "weigh", "rewrite", "add")


def edit(edits: Edits, kind: str, generator: random.Random, title: str) -> Edits:
    """One edit of this kind; a segment that ranks is always left."""
    key = generator.choice([part.key for part in edits.now if part.weight])
    if kind == "strike" and sum(part.weight > 0 for part in edits.now) > 1:
        return edits.strike(key)
    if kind == "rewrite":
        return edits.rewrite(key, f"{title} {generator.random():.6f}")
    if kind == "add" and sum(part.step == 3 for part in edits.now) < 10:
        return edits.add(3, f"{title} {generator.random():.6f}")
    return edits.weigh(key, generator.choice([0.25, 0.5, 1.5, 2, 3]))


def measure(domain: Domain, name: str, encoder: TextEncoder, shoppers: list[Shopper], edits_each: int) -> dict:
    """Milliseconds of every kind of edit under one ranker: to the list (`list`), and to the influences (`all`)."""
    ranker, generator = choose_ranker(name, domain), random.Random(name)  # words that no other ranker has had read
    took: dict[str, dict[str, list[float]]] = {kind: {"list": [], "all": []} for kind in KINDS}
    for shopper in shoppers:
        history = domain.history(shopper)
        edits = Edits.of(parse(format_rationale(shopper.step1, shopper.step2, shopper.step3)))
        list(steer(edits, history, domain, ranker, encoder, 10))  # the list that stands on the page before
        for number in range(edits_each):
            kind = KINDS[number % len(KINDS)]
            title = generator.choice(domain.catalog.items).title
            edits = edit(edits, kind, generator, title)
            begun = time.perf_counter()
            states = steer(edits, history, domain, ranker, encoder, 10)
            next(states)
            took[kind]["list"].append(1000 * (time.perf_counter() - begun))
            next(states)
            took[kind]["all"].append(1000 * (time.perf_counter() - begun))
    figures = {kind: {part: spread(values) for part, values in parts.items()} for kind, parts in took.items()}
    figures["any"] = {part: spread([v for kind in KINDS for v in took[kind][part]]) for part in ("list", "all")}
    return figures


def spread(values: list[float]) -> dict[str, float]:
    """p50, p95 and the slowest, in milliseconds."""
    return {name: round(float(np.percentile(values, at)), 1) for name, at in (("p50", 50), ("p95", 95), ("max", 100))}


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--domain", default="games", help="domain under assets/domains (default games)")
    parser.add_argument("--shoppers", type=int, default=3, help="recorded rationales that are edited (default 3)")
    parser.add_argument("--edits", type=int, default=8, help="edits of each (default 8)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks/results/steering.json")
    return parser


def main(args: argparse.Namespace) -> dict:
    encoder = TextEncoder()
    encoder.load()
    domain = load_domains([ROOT / "assets/domains" / args.domain], encoder)[args.domain]
    shoppers = [shopper for shopper in domain.shoppers if shopper.step1][: args.shoppers]
    names = [name for name in rankers_of(domain) if choose_ranker(name, domain).uses_rationale]
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "domain": f"{domain.name}, {len(domain.catalog)} products",
        "edits": len(shoppers) * args.edits,
        "target_ms": TARGET_MS,
        "milliseconds": {},
    }
    for name in names:
        figures = result["milliseconds"][name] = measure(domain, name, encoder, shoppers, args.edits)
        print(name, figures["any"], flush=True)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


if __name__ == "__main__":
    main(make_parser().parse_args())
