"""Runs a collection in its mode, with a progress bar, until it is done, fails or is stopped by a signal."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from slim_app.errors import SlimError
from training.jobs import Job
from training.store import beside
from training.teacher.batch_mode import BatchRun
from training.teacher.client import Teacher
from training.teacher.collection import Collection
from training.teacher.live_mode import LiveRun
from training.teacher.pace import Pace
from training.teacher.prices import Budget

log = logging.getLogger(__name__)
LOG_EVERY = 30.0
"""Seconds between log lines where no progress bar can be drawn."""


async def run(
    args: argparse.Namespace, collection: Collection, teacher: Teacher, todo: Sequence[Job]
) -> tuple[SlimError | None, bool]:
    """Collects `todo`, in the mode that the flags ask for: (why it ended early, whether a signal ended it).

    The first SIGINT or SIGTERM lets requests in flight arrive for some seconds, a second one does not.
    """
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    budget = Budget(args.max_cost, collection.price)
    async with teacher:
        with tqdm(total=len(todo), unit="user", disable=None) as bar, logging_redirect_tqdm():
            if args.batch:
                failure, interrupted = await _batch(args, collection, teacher, budget, todo, bar)
            else:
                failure, interrupted = await _live(args, collection, teacher, budget, todo, bar)
    if collection.price:
        unsure = f", {budget.unsure:.4f} of it for requests without an answer" if budget.unsure else ""
        log.info("This run cost %.4f USD%s (%s).", budget.spent, unsure, collection.price.source)
    return failure, interrupted


async def _live(
    args: argparse.Namespace, collection: Collection, teacher: Teacher, budget: Budget, todo: Sequence[Job], bar: Any
) -> tuple[SlimError | None, bool]:
    finished, told = 0, time.monotonic()

    def done() -> None:
        nonlocal finished, told
        counts, finished = collection.counts, finished + 1
        state = f"{budget.spent:.4f} USD, {counts['problem']} unusable, {counts['failed']} failed"
        bar.set_postfix_str(state, refresh=False)
        bar.update()
        if bar.disable and time.monotonic() - told > LOG_EVERY:  # no terminal: the log shows how far it is
            log.info("%d of %d users; %s", finished, len(todo), state)
            told = time.monotonic()

    live = LiveRun(
        collection, teacher, Pace(args.requests_per_minute, args.tokens_per_minute), budget,
        concurrency=args.concurrency, retries=args.retries, seed=args.seed, done=done,
    )  # fmt: skip
    stopped = SlimError("Stopped by a signal.")
    with _signals(lambda: live.stop(stopped)):
        await live.run(todo)
    if live.cut:
        log.warning("%d requests were given up in flight; the provider may charge for them.", live.cut)
    return live.reason, live.reason is stopped


async def _batch(
    args: argparse.Namespace, collection: Collection, teacher: Teacher, budget: Budget, todo: Sequence[Job], bar: Any
) -> tuple[SlimError | None, bool]:
    def progress(done: int) -> None:
        bar.n = min(done, len(todo))
        bar.refresh()

    batch = BatchRun(
        collection, teacher, budget, beside(args.out, "batch"), poll=args.poll, retries=args.retries,
        size=args.batch_size, seed=args.seed, progress=progress,
    )  # fmt: skip
    task = asyncio.ensure_future(_failure_of(batch.run(todo)))
    with _signals(task.cancel):
        try:
            return await task, False
        except asyncio.CancelledError:
            log.warning("A batch that was sent goes on at the provider.")
            return None, True


async def _failure_of(work: Coroutine[Any, Any, None]) -> SlimError | None:
    try:
        await work
    except SlimError as error:
        return error
    return None


@contextlib.contextmanager
def _signals(stop: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C and SIGTERM call `stop` instead of breaking off in the middle of a row."""
    loop, numbers = asyncio.get_running_loop(), (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):  # not the main thread
        for number in numbers:
            loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError, RuntimeError, ValueError):
            for number in numbers:
                loop.remove_signal_handler(number)
