"""A call over the network that can be broken off at any moment, from another thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

Put = Callable[[str, Any], None]


class Call(threading.Thread):
    """One call on its own thread and event loop.

    A coroutine, because it is the only thing that can be interrupted in the middle of connecting, reading or
    waiting; a thread of its own, because the generator that it feeds has to wake up while nothing arrives.
    """

    def __init__(self, work: Callable[[str, Put], Awaitable[None]], prompt: str) -> None:
        super().__init__(name="endpoint", daemon=True)
        self.events: queue.SimpleQueue[tuple[str, float, Any]] = queue.SimpleQueue()
        self._work, self._prompt = work, prompt
        self._stopped = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None

    def put(self, kind: str, value: Any) -> None:
        """Pass an event to the generator, with the time at which it happened."""
        self.events.put((kind, time.monotonic(), value))

    def run(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            asyncio.run(self._main())
        self.put("end", None)

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if not self._stopped.is_set():  # asked after the task is known, so that `stop` cannot fall in between
            await self._work(self._prompt, self.put)

    def stop(self) -> None:
        """Break off, and wait shortly for the connection to be closed (a name look-up cannot be broken off)."""
        self._stopped.set()
        if self._loop is not None and self._task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed: the call was over
                self._loop.call_soon_threadsafe(self._task.cancel)
        if threading.current_thread() is not self:  # the garbage collector may close a generator anywhere
            self.join(0.3)
