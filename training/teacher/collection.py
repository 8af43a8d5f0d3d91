"""What a run collects: which jobs are open, the rows that it writes, and the counts for its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Any

from slim_app.prompts import PROMPT_VERSION
from training.jobs import Job
from training.store import Key, RationaleStore
from training.teacher.answers import Answer, steps_of
from training.teacher.prices import Forecast, Price

MOST_ANSWERS = 2
"""Answers asked for one rationale, over all runs: the first, and one more where it did not parse."""


class Collection:
    """Rows of one model in one store."""

    def __init__(
        self, model: str, store: RationaleStore | None, prompt: Callable[[Job], str], price: Price | None
    ) -> None:
        self.model, self.store, self.prompt, self.price = model, store, prompt, price
        self.forecast = Forecast()
        self.counts: Counter[str] = Counter()
        """Of this run: usable, problem, failed (left for the next run), retries."""
        self.hide: Callable[[str], str] = str
        """Removes the key from what a server said."""
        self._rows: dict[Key, dict[str, Any]] = store.rows if store else {}

    def row(self, job: Job) -> dict[str, Any]:
        """The newest row of a job; empty when there is none."""
        return self._rows.get((job.user, job.upto, PROMPT_VERSION, self.model), {})

    def attempts(self, job: Job) -> int:
        """Answers that were asked for so far."""
        row = self.row(job)
        return int(row.get("attempts", 1)) if row else 0

    def is_open(self, job: Job) -> bool:
        """Whether an answer is still wanted."""
        row = self.row(job)
        return not row or (bool(row.get("problem")) and self.attempts(job) < MOST_ANSWERS)

    def open(self, jobs: Iterable[Job]) -> list[Job]:
        return [job for job in jobs if self.is_open(job)]

    def size(self, job: Job) -> int:
        """Bytes of a job's prompt."""
        return len(self.prompt(job).encode())

    def learn(self, jobs: Iterable[Job]) -> None:
        """Corrects the forecast by rows of earlier runs."""
        for job in jobs:
            usage = self.row(job).get("usage") or {}
            if usage.get("prompt_tokens") and usage.get("completion_tokens"):
                self.forecast.learn(self.size(job), usage["prompt_tokens"], usage["completion_tokens"])

    def cost(self, answer: Answer) -> float | None:
        """USD; None where the price or the usage is unknown."""
        if not self.price or answer.prompt_tokens is None or answer.completion_tokens is None:
            return None
        return self.price.of(answer.prompt_tokens, answer.completion_tokens)

    def keep(self, job: Job, answer: Answer, seconds: float | None, **more: Any) -> bool:
        """Stores an answer; False when it is of no use and stands there with its `problem`.

        Raises:
            SlimError: the disk is full.
        """
        if answer.prompt_tokens and answer.completion_tokens:
            self.forecast.learn(self.size(job), answer.prompt_tokens, answer.completion_tokens)
        return self._append(job, seconds, {
            **steps_of(answer), "text": answer.text,
            "usage": {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens},
            "cost_usd": self.cost(answer), "finish_reason": answer.finish_reason, "served_model": answer.model, **more,
        })  # fmt: skip

    def refuse(self, job: Job, problem: str, seconds: float | None = None, **more: Any) -> None:
        """Stores that the server does not accept this request, so that no run asks for it without end.

        Raises:
            SlimError: the disk is full.
        """
        self._append(job, seconds, {
            "step1": "", "step2": [], "step3": [], "problem": problem, "text": "",
            "usage": {"prompt_tokens": None, "completion_tokens": None},
            "cost_usd": None, "finish_reason": "refused", "served_model": "", **more,
        })  # fmt: skip

    def _append(self, job: Job, seconds: float | None, fields: dict[str, Any]) -> bool:
        if self.store is None:
            raise ValueError("a collection without a store can only be looked at")
        fields = {name: self._clean(value) for name, value in fields.items()}
        self.store.append({
            "user_id": job.user, "upto": job.upto, "prompt_version": PROMPT_VERSION, "model": self.model, **fields,
            "seconds": None if seconds is None else round(seconds, 3), "attempts": self.attempts(job) + 1,
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        })  # fmt: skip
        self.counts["problem" if "problem" in fields else "usable"] += 1
        return "problem" not in fields

    def _clean(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._clean(entry) for entry in value]
        return self.hide(value) if isinstance(value, str) else value
