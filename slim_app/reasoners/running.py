"""Threads that are inside an engine's native code: the interpreter must not go down under them."""

from __future__ import annotations

import atexit
import threading
from collections.abc import Iterator
from contextlib import contextmanager

exiting = threading.Event()
"""Set when the interpreter goes down: whoever writes then ends at the next token."""
_inside: set[threading.Thread] = set()


@contextmanager
def inside_engine() -> Iterator[None]:
    """Around native work of the current thread; an exit waits up to five seconds for it."""
    thread = threading.current_thread()
    _inside.add(thread)
    try:
        yield
    finally:
        _inside.discard(thread)


@atexit.register
def _end() -> None:
    exiting.set()
    for thread in tuple(_inside):
        thread.join(timeout=5)
