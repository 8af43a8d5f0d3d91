"""Stop signs: one for each running job of each visitor, so that nobody stops anybody else."""

from __future__ import annotations

import threading
from collections import defaultdict


class StopSigns:
    """session → events of its running jobs."""

    def __init__(self) -> None:
        self._signs: dict[str, set[threading.Event]] = defaultdict(set)
        self._lock = threading.Lock()

    def begin(self, session: str | None) -> threading.Event:
        """A fresh sign for a job that starts now; earlier jobs of the same visitor are stopped."""
        self.stop(session)
        sign = threading.Event()
        with self._lock:
            self._signs[session or ""].add(sign)
        return sign

    def end(self, session: str | None, sign: threading.Event) -> None:
        with self._lock:
            self._signs[session or ""].discard(sign)
            if not self._signs[session or ""]:
                del self._signs[session or ""]

    def stop(self, session: str | None) -> None:
        """Ask all jobs of this visitor to end."""
        with self._lock:
            for sign in self._signs.get(session or "", ()):
                sign.set()
