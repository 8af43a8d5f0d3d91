"""What a rationale is like by itself, apart from how it ranks: form and repetition."""

from __future__ import annotations

from collections.abc import Sequence

from slim_app.catalog import normal
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


def canonical(rationale: Rationale) -> str:
    """The text by which whole rationales are compared: what was read of them, in the canonical form."""
    return format_rationale(" ".join(rationale.step1), rationale.step2, rationale.step3)
