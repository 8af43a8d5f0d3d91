"""What the server remembers of each visitor's comparison: never sent to the browser, and gone with the visitor."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field

from slim_app.compare import Run
from slim_app.compare_state import CompareState
from slim_app.domain import Domain
from slim_app.schema import Item, Mention, Shopper

MOST = 1_000
"""Desks that are kept; beyond that the oldest goes."""


@dataclass
class Desk:
    """One comparison of one visitor."""

    run: Run | None
    """None when it has ended."""
    history: tuple[Item, ...]
    domain: Domain
    sample: Shopper | None
    ranker: str
    """Name of what ranks each side's list."""
    state: CompareState | None = None
    """The true one."""
    marks: dict[str, tuple[Mention, ...]] = field(default_factory=dict)
    """Side → what became of the names in its text, once it has ended."""
    voted: bool = False
    diff: bool = False

    @property
    def shown(self) -> CompareState | None:
        """What may leave the server: in a blind comparison nothing that names a writer before the vote."""
        if self.state is None or not self.state.blind or self.voted:
            return self.state
        return self.state.masked()


class Desks:
    """session → desk."""

    def __init__(self) -> None:
        self._desks: OrderedDict[str, Desk] = OrderedDict()
        self._lock = threading.Lock()

    def put(self, session: str | None, desk: Desk) -> None:
        """A new comparison takes the place of the visitor's last one, which is stopped."""
        self.leave(session)
        with self._lock:
            self._desks[session or ""] = desk
            gone = self._desks.popitem(last=False)[1] if len(self._desks) > MOST else None
        if gone and gone.run:
            gone.run.stop()

    def of(self, session: str | None) -> Desk | None:
        with self._lock:
            return self._desks.get(session or "")

    def leave(self, session: str | None) -> None:
        """Forget a visitor, and stop what still writes."""
        with self._lock:
            desk = self._desks.pop(session or "", None)
        if desk and desk.run:
            desk.run.stop()
