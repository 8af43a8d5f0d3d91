"""The leakage rule: how much of a person's sequence a rationale may be written from (METHOD.md, Protocol)."""

from __future__ import annotations

POSITIONS: dict[str, int] = {"train": 3, "valid": 2, "test": 1}
"""Position → the newest items held back: its own target, and the targets of the positions that come after it.

The last item is the test target, the one before it the validation target, the one before that the last to train on.
"""


def upto_of(position: str, length: int) -> int:
    """How many of a sequence's `length` items may be read for `position`; 0 or less: nothing is left to read.

    A rationale may score a target only if it saw items strictly before it. What was written for `train` may also
    serve `valid` and `test`, because it saw less; never the other way round.
    """
    return length - POSITIONS[position]
