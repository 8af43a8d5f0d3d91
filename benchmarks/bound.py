"""The student free and bound to the catalogue, in one run: speed, products that do not exist, the next purchase.

    python -m benchmarks.bound                  # all demo shoppers of all domains, on an idle machine; most of an hour
    python -m benchmarks.bound --shoppers 1     # one of each domain, to try it

Each shopper's purchases are written about twice, once with Step 3 free and once bound to the catalogue's titles; which
comes first alternates. The shopper's held-out next purchase is then ranked by each text (text matching): among 101
products (it and 100 drawn from those that were not bought, the same for both texts) and among the whole catalogue.
The shoppers are invented, so the figures compare the two ways of writing and nothing else.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from slim_app.catalog import normal
from slim_app.domain import Domain, load_domains
from slim_app.encoder import TextEncoder
from slim_app.explain import ground
from slim_app.ranks import Board
from slim_app.rationale import parse
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar
from slim_app.reasoners.engine import Engine
from slim_app.reasoners.llama_cpp import LlamaCppReasoner
from slim_app.reasoners.students import read_student
from slim_app.recommenders.rankers import choose_ranker
from slim_app.schema import RunStats, Shopper
from slim_app.services import STUDENTS
from slim_app.vote_tally import wilson

ROOT = Path(__file__).resolve().parent.parent
RESULT = ROOT / "benchmarks/results/bound.json"
WAYS = ("free", "bound")
NEGATIVES, FIRST = 100, 10
SEED = 2026


def rank_among(ranks: np.ndarray, target: int, others: Sequence[int]) -> int:
    """1-based rank of one item among it and others, given everyone's ranks in the whole catalogue."""
    return 1 + int(np.sum(ranks[list(others)] < ranks[target]))


def negatives(domain: Domain, shopper: Shopper, target: int) -> list[int]:
    """Rows of `NEGATIVES` products that the shopper did not buy, drawn for this shopper alone."""
    rows = np.flatnonzero(~domain.catalog.mask(domain.history(shopper)))
    rest = [int(row) for row in rows if row != target]
    return random.Random(f"{SEED}:{shopper.shopper_id}").sample(rest, min(NEGATIVES, len(rest)))


def case(domain: Domain, shopper: Shopper, writer: LlamaCppReasoner, ranker: str, encoder: TextEncoder) -> dict:
    """One text: how fast it was written, what it names, and where the next purchase stands."""
    history, stats = domain.history(shopper), RunStats()
    text = "".join(writer.stream(history, stats))
    rationale = parse(text, cut=stats.finish_reason != "stop")
    products = [m.status for m in ground(rationale, history, domain, encoder) if m.key.startswith("3.")]
    target = domain.catalog.row_of_id[shopper.next]
    board = Board(domain, choose_ranker(ranker, domain), encoder, history, [(history, rationale)])
    ranks = board.ranks(board.scores(history, rationale))
    return {
        "tokens": stats.tokens, "seconds": stats.seconds, "first_token_seconds": stats.first_token_seconds,
        "products": len(products), "distinct": len({normal(product) for product in rationale.step3}),
        "absent": sum(status in ("near", "missing") for status in products),
        "complete": rationale.complete, "rank_full": int(ranks[target]),
        "rank_101": rank_among(ranks, target, negatives(domain, shopper, target)),
    }  # fmt: skip


def summary(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rates of some cases; intervals are Wilson's, 95 %."""
    streamed = sum(c["seconds"] - c["first_token_seconds"] for c in cases)
    found = {
        "tokens_per_second": round(sum(c["tokens"] - 1 for c in cases) / streamed, 2),
        "tokens": round(float(np.mean([c["tokens"] for c in cases])), 1),
        "seconds": round(float(np.mean([c["seconds"] for c in cases])), 3),
        "ood": round(sum(c["absent"] for c in cases) / max(1, sum(c["products"] for c in cases)), 4),
        "products": sum(c["products"] for c in cases),
        "distinct": round(sum(c["distinct"] for c in cases) / max(1, sum(c["products"] for c in cases)), 4),
        "complete": sum(c["complete"] for c in cases),
    }
    for name, rank in (("hr10_101", "rank_101"), ("hr10_full", "rank_full")):
        hits = sum(c[rank] <= FIRST for c in cases)
        found[name] = round(hits / len(cases), 4)
        found[f"{name}_interval"] = [round(end, 4) for end in wilson(hits, len(cases))]
    return found


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shoppers", type=int, default=0, help="demo shoppers of each domain (default: all)")
    parser.add_argument("--student", default="smollm2-135m", help="folder under assets/students")
    parser.add_argument("--ranker", default="reasoning", help="what ranks by the text (default: reasoning)")
    parser.add_argument("--out", type=Path, default=RESULT)
    return parser


def main(args: argparse.Namespace) -> dict[str, Any]:
    encoder = TextEncoder()
    encoder.load()
    domains = load_domains([ROOT / "assets/domains"], encoder)
    student = read_student(args.student, STUDENTS)
    engine = Engine(adapter=student.adapter if student else None, slots=1)
    engine.warm_up()
    free = LlamaCppReasoner(engine, tuned=student is not None, name=student.name if student else "")
    cases: dict[str, dict[str, list[dict]]] = {}
    grammars = {}
    for name, domain in domains.items():
        begun = time.perf_counter()
        grammar = CatalogueGrammar.of(domain.catalog)
        grammars[name] = {
            "titles": len(grammar.titles), "left_out": grammar.left_out,
            "seconds": round(time.perf_counter() - begun, 3),
        }  # fmt: skip
        writers = {"free": free, "bound": free.bound(grammar)}
        cases[name] = {way: [] for way in WAYS}
        shoppers = [shopper for shopper in domain.shoppers if shopper.next][: args.shoppers or None]
        for number, shopper in enumerate(shoppers):
            for way in WAYS if number % 2 == 0 else WAYS[::-1]:
                cases[name][way].append(case(domain, shopper, writers[way], args.ranker, encoder))
        print(name, {way: summary(cases[name][way]) for way in WAYS}, flush=True)
    result = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "student": free.info.name, "ranker": args.ranker, "seed": SEED,
        "shoppers": sum(len(found["free"]) for found in cases.values()),
        "protocol": (
            f"invented demo shoppers, held-out next purchase; HR@{FIRST} among 101 products (1 + {NEGATIVES} drawn) "
            "and over the whole catalogue, without what was bought; 95 % Wilson intervals"
        ),
        "grammar": grammars,
        "all": {way: summary([c for found in cases.values() for c in found[way]]) for way in WAYS},
        "domains": {name: {way: summary(found[way]) for way in WAYS} for name, found in cases.items()},
    }  # fmt: skip
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    return result


if __name__ == "__main__":
    main(make_parser().parse_args())
