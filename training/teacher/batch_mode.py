"""The provider's batch mode: all requests in one file, answered within a day, often at half the price.

A batch is paid for as a whole, so a kill must not lose it. `OUT.batch.json` is written before anything is sent and
holds a tag of its own; the batch carries the same tag. A later run finds its batch there, by id or by tag.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from training.jobs import Job
from training.store import write_json
from training.teacher.batch_lines import read_result, request_line, sound
from training.teacher.batch_state import new_state, read_state
from training.teacher.client import Halt, Refused, Teacher, Transient, pause_before
from training.teacher.collection import Collection
from training.teacher.prices import Budget

if TYPE_CHECKING:
    import openai
    from openai.types import Batch

log = logging.getLogger(__name__)
TAG = "slim_tag"
ENDED = {"completed", "failed", "expired", "cancelled"}
MOST_REQUESTS, MOST_BYTES = 50_000, 100_000_000
"""Of one batch; OpenAI takes 50,000 requests and 200 MB."""
TRANSFER_TIMEOUT = 600.0
T = TypeVar("T")


class BatchRun:
    """One run over a list of jobs: finishes the batch of an earlier run, then sends new ones until none is open.

    Killed at any moment, it leaves the batch at the provider and its tag in the state file.
    """

    def __init__(
        self,
        collection: Collection,
        teacher: Teacher,
        budget: Budget,
        state_file: Path,
        *,
        poll: float,
        retries: int,
        size: int = MOST_REQUESTS,
        seed: int = 0,
        progress: Callable[[int], object] = lambda done: None,
    ) -> None:
        self._collection, self._teacher, self._budget = collection, teacher, budget
        self._file, self._poll, self._retries, self._progress = state_file, poll, retries, progress
        self._size, self._rng = min(size, MOST_REQUESTS), random.Random(seed)
        self._closed: set[Job] = set()
        """Not sent again in this run: refused, or left out by the provider."""
        self._reasons: Counter[str] = Counter()
        """Why requests of the batch have no answer."""

    async def run(self, jobs: Sequence[Job]) -> None:
        """Until no job is open.

        Raises:
            SlimError: a batch failed as a whole, the server cannot be reached, the budget or the disk is full.
        """
        if state := read_state(self._file, self._teacher.model):
            log.info("A batch of %s requests is under way (%s); it is finished first.", state["requests"], self._file)
            if batch := await self._find(state):
                await self._finish(state, batch)
            else:
                log.info("It never reached the server; its requests are sent again.")
        while todo := [job for job in self._collection.open(jobs) if job not in self._closed]:
            lines = self._fitting(todo)
            state, batch = await self._submit(lines)
            named = await self._finish(state, batch)
            self._closed.update(job for job, _ in lines if job not in named)

    def _fitting(self, jobs: Sequence[Job]) -> list[tuple[Job, bytes]]:
        """As many jobs, with their lines, as one batch and the budget hold."""
        lines: list[tuple[Job, bytes]] = []
        size, cost = 0, 0.0
        for job in jobs:
            prompt = self._collection.prompt(job)
            line = request_line(job, self._teacher.params(prompt, self._collection.attempts(job) > 0))
            tokens = self._collection.forecast.prompt_tokens(len(prompt.encode()))
            size, cost = size + len(line), cost + self._budget.most(tokens, self._teacher.max_tokens)
            if cost > self._budget.left or size > MOST_BYTES or len(lines) == self._size:
                break
            lines.append((job, line))
        if not lines:
            raise self._budget.exceeded()
        return lines

    async def _submit(self, lines: Sequence[tuple[Job, bytes]]) -> tuple[dict[str, Any], Batch]:
        state = new_state(self._teacher.model, len(lines))
        write_json(self._file, state)
        content = ("requests.jsonl", b"".join(line for _, line in lines))
        try:
            upload = await self._call(lambda client: sound(client.files.create(file=content, purpose="batch")))
        except SlimError:
            self._file.unlink(missing_ok=True)  # nothing is paid for yet
            raise
        batch = await self._create(state, upload.id)
        return await self._adopt(state, batch), batch

    async def _create(self, state: dict[str, Any], upload: str) -> Batch:
        """Creates the batch once: after a failure it is looked up before it is created again."""
        for retry in range(self._retries + 1):
            try:
                return await self._teacher.call(lambda client: sound(client.batches.create(
                    input_file_id=upload, endpoint="/v1/chat/completions", completion_window="24h",
                    metadata={TAG: state["tag"]},
                )))  # fmt: skip
            except Transient as error:
                failure = error
            except (Halt, Refused):
                if retry == 0:  # after an unclear attempt the tag is kept
                    self._file.unlink(missing_ok=True)
                raise
            await asyncio.sleep(pause_before(retry, failure, self._rng))
            if batch := await self._look_up(state):
                return batch
        raise failure

    async def _adopt(self, state: dict[str, Any], batch: Batch) -> dict[str, Any]:
        state["batch_id"] = batch.id
        write_json(self._file, state)
        log.info("Batch %s: %d requests sent. Asking every %g s whether it has ended; the run may be stopped and "
                 "started again meanwhile.", batch.id, state["requests"], self._poll)
        return state

    async def _find(self, state: dict[str, Any]) -> Batch | None:
        """The batch of an earlier run; None when that run ended before there was one."""
        if state["batch_id"]:
            try:
                return await self._call(lambda client: sound(client.batches.retrieve(state["batch_id"])))
            except Halt as error:
                known = f"{self._file} names the batch {state['batch_id']}"
                raise Halt(f"{known}. {error} If it is lost for good, remove the file and run again.") from None
        for pause in (self._poll, 0.0):  # a batch that was created a moment ago may not be listed yet
            if batch := await self._look_up(state):
                await self._adopt(state, batch)
                return batch
            await asyncio.sleep(pause)
        self._file.unlink(missing_ok=True)
        return None

    async def _look_up(self, state: dict[str, Any]) -> Batch | None:
        """The batch with the tag, among those of the time since the state was written."""

        async def search(client: openai.AsyncOpenAI) -> Batch | None:
            async for batch in client.batches.list(limit=100):
                if (batch.metadata or {}).get(TAG) == state["tag"]:
                    return batch
                if (batch.created_at or 0) < state["created"] - 3600:  # clocks differ; newest come first
                    return None
            return None

        return await self._call(search)

    async def _finish(self, state: dict[str, Any], batch: Batch) -> set[Job]:
        """Waits for the end of the batch and stores its answers; the state goes when all are on disk.

        Returns the jobs that the results name.

        Raises:
            SlimError: the batch failed, expired or was cancelled; what was answered is stored.
        """
        while batch.status not in ENDED:
            await asyncio.sleep(self._poll)
            batch = await self._call(lambda client: sound(client.batches.retrieve(state["batch_id"])))
            self._progress(getattr(batch.request_counts, "completed", 0) or 0)
        named: set[Job] = set()
        sent = self._teacher.params("", False)
        for file in filter(None, (batch.output_file_id, batch.error_file_id)):
            content = await self._call(lambda client, file=file: client.files.content(file))
            for line in content.content.split(b"\n"):  # not splitlines: it would cut texts at rarer line ends
                named |= self._store(line, batch.id, sent)
        for reason, times in self._reasons.most_common(5):
            log.warning("%d requests have no answer and are left for the next run: %s", times, reason)
        self._reasons.clear()
        left = state["requests"] - len(named)
        if left > 0:
            self._collection.counts["failed"] += left
            log.warning("Batch %s ended as “%s”: %d of %d requests have no answer and are left for the next run.",
                        batch.id, batch.status, left, state["requests"])
        self._file.unlink(missing_ok=True)
        if batch.status != "completed":
            raise SlimError(f"The batch {batch.id} ended as “{batch.status}”.{self._complaint(batch)} "
                            "What was answered is stored; run the same command again for the rest.")
        return named

    def _complaint(self, batch: Batch) -> str:
        """What the provider says about a batch that failed."""
        errors = getattr(batch.errors, "data", None) or []
        words = "; ".join(dict.fromkeys(str(error.message) for error in errors[:3] if error.message))
        return f" It said: “{clean_title(self._teacher.hide(words), 300)}”" if words else ""

    def _store(self, line: bytes, batch: str, sent: dict[str, Any]) -> set[Job]:
        """Stores one line of a result file; the job that it was about, or nothing where that cannot be told."""
        if not line.strip():
            return set()
        result = read_result(line)
        if result is None:
            log.warning("Batch %s: a line of its result could not be read and was skipped.", batch)
            return set()
        job, held = result.job, self._collection
        if not held.is_open(job) or held.row(job).get("batch") == batch:
            return {job}  # stored already, before a kill
        if result.answer:
            cost = held.cost(result.answer)
            tokens = held.forecast.prompt_tokens(held.size(job))
            self._budget.settle(0.0, self._budget.most(tokens, self._teacher.max_tokens) if cost is None else cost)
            if not held.keep(job, result.answer, None, batch=batch):
                end = "It is asked once more." if held.is_open(job) else "Kept with this reason."
                log.info("user %s: %s %s", job.user, held.row(job)["problem"], end)
        elif not result.refused:
            self._reasons[self._teacher.hide(result.reason)] += 1
            held.counts["failed"] += 1
            self._closed.add(job)
        elif not self._teacher.adapt(sent, result.reason):  # else it is sent again as this server wants it
            log.warning("user %s: %s", job.user, self._teacher.hide(result.reason))
            held.refuse(job, result.reason, batch=batch)
            self._closed.add(job)
        return {job}

    async def _call(self, work: Callable[[openai.AsyncOpenAI], Awaitable[T]]) -> T:
        """One exchange that may safely be repeated.

        Raises:
            Halt, Refused, Transient: see there; the last after all retries.
        """
        for retry in range(self._retries + 1):
            try:
                return await self._teacher.call(work, TRANSFER_TIMEOUT)
            except Transient as error:
                failure = error
            if retry < self._retries:
                pause = pause_before(retry, failure, self._rng)
                log.info("%s Retry %d of %d in %.1f s.", failure, retry + 1, self._retries, pause)
                await asyncio.sleep(pause)
        raise failure
