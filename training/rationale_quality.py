"""How rationales compare with the catalogue and with the teacher's: grounding and likeness."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.explain import ground
from slim_app.quality import canonical
from slim_app.schema import Item, Rationale, shown


def grounding(rationale: Rationale, history: Sequence[Item], domain: Domain, encoder: TextEncoder) -> dict[str, float]:
    """Shares of the Step 3 products that are a purchase, in the catalogue, near something there, or not found (OOD)."""
    found = Counter(m.status for m in ground(rationale, shown(history), domain, encoder) if m.key.startswith("3."))
    total = max(1, sum(found.values()))
    return {f"products_{status}": found[status] / total for status in ("history", "catalogue", "near", "missing")}


def likeness(rationale: Rationale, teacher: Rationale, encoder: TextEncoder) -> dict[str, float]:
    """Cosine with the teacher's rationale for the same history: whole texts, and product by product (the mean over
    both lists of the nearest product in the other one)."""
    whole = encoder.encode([canonical(rationale), canonical(teacher)])
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
