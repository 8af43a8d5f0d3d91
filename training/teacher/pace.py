"""When the next request may be sent: requests and tokens a minute, pauses that the server asks for, and back-off."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable

BACKOFF = 1.0
"""Seconds before the first retry, at most; doubled for each further one."""
LONGEST_BACKOFF = 60.0


class _Bucket:
    """A token bucket that may go into debt for one large request. It holds little: a server that counts the last
    minute would see what was saved up as too much."""

    def __init__(self, per_minute: float, size: float, now: float) -> None:
        self._rate, self._size = per_minute / 60, size
        self._level, self._at = self._size, now

    def wait(self, cost: float, now: float) -> float:
        """Seconds until `cost` may be taken."""
        self._level, self._at = min(self._size, self._level + (now - self._at) * self._rate), now
        return max(0.0, (min(cost, self._size) - self._level) / self._rate)

    def take(self, cost: float) -> None:
        self._level -= cost


class Pace:
    """Shared by all workers, who go in the order in which they asked."""

    def __init__(
        self,
        requests: float | None = None,
        tokens: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._requests = _Bucket(requests, 1.0, clock()) if requests else None
        self._tokens = _Bucket(tokens, tokens / 60, clock()) if tokens else None
        self._open = -math.inf
        self._turn = asyncio.Lock()

    def hold(self, seconds: float) -> None:
        """Nobody sends anything for so long: what a server's Retry-After asks for."""
        self._open = max(self._open, self._clock() + seconds)

    async def turn(self, tokens: float) -> None:
        """Waits until a request with `tokens` (prompt, and the most that may be answered) may be sent."""
        async with self._turn:
            while (wait := self._wait(tokens)) > 0:
                await self._sleep(wait)
            for bucket, cost in self._costs(tokens):
                bucket.take(cost)

    def _wait(self, tokens: float) -> float:
        now = self._clock()
        waits = [bucket.wait(cost, now) for bucket, cost in self._costs(tokens)]
        wait = max([self._open - now, *waits])
        return wait if wait > 1e-6 else 0.0  # rounding must not make it spin

    def _costs(self, tokens: float) -> list[tuple[_Bucket, float]]:
        pairs = ((self._requests, 1.0), (self._tokens, tokens))
        return [(bucket, cost) for bucket, cost in pairs if bucket]


def backoff(retry: int, rng: random.Random) -> float:
    """Seconds before retry number `retry` (from 0): doubled each time, and spread so that workers do not meet."""
    return min(LONGEST_BACKOFF, BACKOFF * 2**retry) * rng.uniform(0.5, 1.0)
