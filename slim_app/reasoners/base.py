"""What every reasoner promises: the smallest contract that a writer of rationales can have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from slim_app.schema import Item, ModelInfo, RunStats


class Reasoner(Protocol):
    """Writes a rationale for a history, in pieces, as it comes."""

    info: ModelInfo

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The purchases that its prompt holds: the newest 20, or fewer where they do not fit."""
        ...

    def prompt(self, history: Sequence[Item]) -> str:
        """The exact words that the model reads; empty for stored rationales."""
        ...

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """Yield text deltas and fill `stats` on the way; closing the iterator stops the engine at once.

        An empty delta is a heartbeat: nothing new, but the caller gets a chance to stop.

        Raises:
            SlimError: the engine could not start, failed or answered nothing. Deltas yielded before it stand.
        """
        ...
