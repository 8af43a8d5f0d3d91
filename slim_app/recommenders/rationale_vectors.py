"""From a rationale to what a trained recommender reads of it: the same texts in training, evaluation and the app."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.rationale import format_rationale
from slim_app.schema import Rationale


def rationale_texts(rationale: Rationale, ranker: str, steps: Sequence[int] = (1, 2, 3)) -> list[str]:
    """Texts to encode (Eq. 5): each segment for `late`, one canonical text for `pooled`; none where nothing is written.

    Of the steps that are not in `steps` nothing is read, not even their headings.
    """
    chosen = [segment for segment in rationale.segments() if segment.step in steps]
    if not chosen or ranker == "late":
        return [segment.text for segment in chosen]
    lines = format_rationale(" ".join(rationale.step1), rationale.step2, rationale.step3).split("\n")
    kept, step = [], 0
    for line in lines:
        step += line.startswith(f"Step {step + 1}:")
        if step in steps:
            kept.append(line)
    return ["\n".join(kept)]


def rationale_vectors(
    rationale: Rationale, encoder: TextEncoder, ranker: str, steps: Sequence[int] = (1, 2, 3)
) -> np.ndarray:
    """(m, d) vectors of a rationale, m = 1 for `pooled`.

    Raises:
        SlimError: nothing is written in these steps.
    """
    texts = rationale_texts(rationale, ranker, steps)
    if not texts:
        where = ", ".join(map(str, steps))
        raise SlimError(f"The rationale says nothing in step {where}: there is nothing to rank by. Write it again.")
    return encoder.encode(texts)
