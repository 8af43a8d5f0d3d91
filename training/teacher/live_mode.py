"""Asks the teacher about several users at once and stores each answer as it arrives."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Sequence

from slim_app.errors import SlimError
from training.jobs import Job
from training.teacher.answers import Answer
from training.teacher.client import Halt, Refused, Teacher, Transient, pause_before
from training.teacher.collection import MOST_ANSWERS, Collection
from training.teacher.pace import Pace
from training.teacher.prices import Budget, OverBudget

log = logging.getLogger(__name__)
GRACE = 5.0
"""Seconds that requests in flight have left when the run is stopped: most of them are paid for already."""
STREAK = 10
"""Users in a row without an answer, after which the run ends: something is wrong that no further user will mend."""


class LiveRun:
    """One run over a list of jobs. `reason` says why it ended early, and is None when it did not."""

    def __init__(
        self,
        collection: Collection,
        teacher: Teacher,
        pace: Pace,
        budget: Budget,
        *,
        concurrency: int,
        retries: int,
        seed: int = 0,
        done: Callable[[], object] = lambda: None,
    ) -> None:
        self._collection, self._teacher, self._pace, self._budget = collection, teacher, pace, budget
        self._concurrency, self._retries, self._done = concurrency, retries, done
        self._rng = random.Random(seed)
        self.reason: SlimError | None = None
        self.cut = 0
        """Requests that were given up while they were in flight."""
        self._streak = 0
        self._stopping = asyncio.Event()
        self._jobs: deque[Job] = deque()
        self._workers: list[asyncio.Task[None]] = []
        self._busy: set[asyncio.Task[None] | None] = set()

    def stop(self, reason: SlimError) -> None:
        """Sends nothing more and lets requests in flight arrive for a while; a second call ends those, too."""
        if self._stopping.is_set():
            for worker in self._workers:
                worker.cancel()
        self.reason = self.reason or reason
        self._stopping.set()

    async def run(self, jobs: Sequence[Job]) -> None:
        """Until all jobs are done or the run was stopped; `reason` then says why."""
        self._jobs.extend(jobs)
        self._workers = [asyncio.create_task(self._work()) for _ in range(min(self._concurrency, len(jobs)))]
        stopping = asyncio.create_task(self._stopping.wait())
        pending = set(self._workers)
        while pending and not self._stopping.is_set():
            done, _ = await asyncio.wait({*pending, stopping}, return_when=asyncio.FIRST_COMPLETED)
            pending -= done
            if any(not task.cancelled() and task.exception() for task in done):
                break  # a fault of this program: raised below
        stopping.cancel()
        if pending:
            for worker in pending - self._busy:
                worker.cancel()
            await asyncio.wait(pending, timeout=None if isinstance(self.reason, OverBudget) else GRACE)
            for worker in pending:
                worker.cancel()
        for result in await asyncio.gather(*self._workers, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def _work(self) -> None:
        try:
            while self._jobs and not self._stopping.is_set():
                await self._one(self._jobs.popleft())
                self._done()
        except SlimError as error:  # key, address, quota, budget, a full disk
            if not self._stopping.is_set():
                self.stop(error)

    async def _one(self, job: Job) -> None:
        """Up to two answers for one job, all rows stored."""
        while not self._stopping.is_set():
            try:
                usable = await self._ask(job)
            except Refused as error:
                log.warning("user %s: %s", job.user, error)
                self._collection.refuse(job, str(error))
                return self._missed(error)
            except Transient as error:
                log.warning("user %s: %s Left for the next run.", job.user, error)
                self._collection.counts["failed"] += 1
                return self._missed(error)
            self._streak = 0
            if usable:
                return
            last = self._collection.attempts(job) >= MOST_ANSWERS
            end = "Kept with this reason." if last else "Asked once more."
            log.info("user %s: %s %s", job.user, self._collection.row(job)["problem"], end)
            if last:
                return

    async def _ask(self, job: Job) -> bool:
        """Whether the answer, which is stored, is usable.

        Raises:
            Refused, Halt, OverBudget: see there.
            Transient: the last one, after all retries.
        """
        prompt, again = self._collection.prompt(job), self._collection.attempts(job) > 0
        for retry in range(self._retries + 1):
            try:
                answer, seconds = await self._try(prompt, again)
                return self._collection.keep(job, answer, seconds, retries=retry)
            except Transient as error:
                failure = error
            if self._stopping.is_set():
                break
            if retry < self._retries:
                self._collection.counts["retries"] += 1
                await self._rest(failure, retry)
        raise failure

    async def _try(self, prompt: str, again: bool) -> tuple[Answer, float]:
        """One request, when the budget and the pace allow it."""
        task, cost, unsure = asyncio.current_task(), 0.0, False
        tokens = self._collection.forecast.prompt_tokens(len(prompt.encode()))
        most = self._budget.most(tokens, self._teacher.max_tokens)
        await self._budget.reserve(most)
        try:
            await self._pace.turn(tokens + self._teacher.max_tokens)
            self._busy.add(task)
            answer, seconds = await self._teacher.ask(prompt, again)
            known = self._collection.cost(answer)
            cost = most if known is None else known
            return answer, seconds
        except Transient as error:
            cost, unsure = (most, True) if error.charged else (0.0, False)
            raise
        except asyncio.CancelledError:
            if task in self._busy:
                self.cut, cost, unsure = self.cut + 1, most, True
            raise
        finally:
            self._busy.discard(task)
            self._budget.settle(most, cost, unsure)

    async def _rest(self, failure: Transient, retry: int) -> None:
        """The pause before a retry: everybody's where the server asks for one, else this worker's alone."""
        pause = pause_before(retry, failure, self._rng)
        if failure.wait >= 0:
            self._pace.hold(failure.wait)
        log.info("%s Retry %d of %d in %.1f s.", failure, retry + 1, self._retries, pause)
        await asyncio.sleep(pause)

    def _missed(self, error: SlimError) -> None:
        self._streak += 1
        if self._streak >= STREAK:
            raise Halt(f"{STREAK} users in a row got no answer, so the run was ended. The last reason: {error}")
