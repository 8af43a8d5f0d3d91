"""Two rationales word by word, step by step. Pieces are data: whoever draws them escapes them."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import Literal

from slim_app.schema import Rationale

Op = Literal["equal", "delete", "insert"]
Piece = tuple[Op, str]
"""`equal` stands in both texts, `delete` in the first only, `insert` in the second only."""
MOST_PIECES = 500
"""Words, spaces and marks of one step; a usual one has 120. Longer ones are compared as wholes: piece by piece takes up
to cubic time, where a writer repeats one word."""
_WORD = re.compile(r"\w+(?:['’-]\w+)*|\s+|[^\w\s]")


def diff_words(first: str, second: str) -> tuple[Piece, ...]:
    """The pieces in reading order. Without the inserted ones they are `first`, without the deleted ones `second`."""
    left, right = _WORD.findall(first), _WORD.findall(second)
    pieces: list[Piece] = []
    if max(len(left), len(right)) > MOST_PIECES:
        codes = [("equal" if first == second else "replace", 0, len(left), 0, len(right))]
    else:
        codes = SequenceMatcher(None, left, right, autojunk=False).get_opcodes()
    for code, i, j, k, m in codes:
        if code == "equal":
            pieces.append(("equal", "".join(left[i:j])))
            continue
        pieces += [("delete", "".join(left[i:j]))] if j > i else []
        pieces += [("insert", "".join(right[k:m]))] if m > k else []
    return tuple(pieces)


def diff_steps(first: Rationale, second: Rationale) -> dict[int, tuple[Piece, ...]]:
    """Step 1, 2, 3 → its pieces. Sentences are parted by spaces, entries of a list by line breaks."""
    return {
        step: diff_words(separator.join(getattr(first, f"step{step}")), separator.join(getattr(second, f"step{step}")))
        for step, separator in ((1, " "), (2, "\n"), (3, "\n"))
    }
