"""What a rationale is like, apart from how it ranks: form, repetition, grounding, likeness to the teacher's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from slim_app.catalog import normal
from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.explain import ground
from slim_app.rationale import format_rationale
from slim_app.schema import Item, Rationale, shown

ENTRIES = 5
NGRAM = 4


def form(rationale: Rationale, text: str, history: Sequence[Item]) -> dict[str, float]:
    """Measures of one rationale, each 0-1 unless stated.

    `valid`: three steps, five categories or brands, five products, not cut off. `distinct_products`: of five, spelling
    ignored (a number). `repeats_history`: some product of Step 3 is a purchase that the prompt showed, title for
    title. `repeated_products`: share of the products that are. `repeated_ngrams`: share of the text's runs of four
    words that had been there before.
    """
    products = [normal(entry) for entry in rationale.step3]
    bought = {normal(item.title) for item in shown(history)}
    words = normal(text).split()
    ngrams = list(zip(*(words[n:] for n in range(NGRAM)), strict=False))
    again = sum(product in bought for product in products)
    return {
        "valid": float(rationale.complete and len(rationale.step2) == len(rationale.step3) == ENTRIES),
        "distinct_products": float(len(set(products))),
        "distinct_categories": float(len({normal(entry) for entry in rationale.step2})),
        "repeats_history": float(again > 0),
        "repeated_products": again / max(1, len(products)),
        "repeated_ngrams": 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0,
    }


def grounding(rationale: Rationale, history: Sequence[Item], domain: Domain, encoder: TextEncoder) -> dict[str, float]:
    """Shares of the Step 3 products that are a purchase, in the catalogue, near something there, or not found (OOD)."""
    found = Counter(m.status for m in ground(rationale, shown(history), domain, encoder) if m.key.startswith("3."))
    total = max(1, sum(found.values()))
    return {f"products_{status}": found[status] / total for status in ("history", "catalogue", "near", "missing")}


def likeness(rationale: Rationale, teacher: Rationale, encoder: TextEncoder) -> dict[str, float]:
    """Cosine with the teacher's rationale for the same history: whole texts, and product by product (the mean over
    both lists of the nearest product in the other one)."""
    whole = encoder.encode([_text(rationale), _text(teacher)])
    measures = {"cosine_to_teacher": float(whole[0] @ whole[1])}
    if rationale.step3 and teacher.step3:
        cosines = encoder.encode(rationale.step3) @ encoder.encode(teacher.step3).T
        measures["product_cosine_to_teacher"] = float((cosines.max(0).mean() + cosines.max(1).mean()) / 2)
    else:
        measures["product_cosine_to_teacher"] = 0.0
    return measures


def top_overlap(scores: np.ndarray, teacher_scores: np.ndarray, k: int = 10) -> float:
    """Share of the first k items that both score vectors have in common."""
    first, second = (set(np.argsort(-s, kind="stable")[:k].tolist()) for s in (scores, teacher_scores))
    return len(first & second) / k


def _text(rationale: Rationale) -> str:
    return format_rationale(" ".join(rationale.step1), rationale.step2, rationale.step3)
