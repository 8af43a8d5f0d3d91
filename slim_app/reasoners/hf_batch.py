"""The loop that decodes: rows are refilled as texts end, and the device never waits for what the host reads."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import torch

from slim_app.errors import SlimError
from slim_app.reasoners.hf_slots import REACH, Slots
from slim_app.schema import RunStats

log = logging.getLogger(__name__)
OUT_OF_MEMORY = (
    "The GPU ran out of memory while writing. Shorten the history, close other programs that use the GPU, "
    "or start with --device cpu."
)


@dataclass
class _Text:
    key: int
    tokens: int = 0
    ended: bool = False

    def take(self, token: int, limit: int, ends: Collection[int]) -> tuple[int, int, str]:
        self.tokens += 1
        finish = "stop" if token in ends else "length" if self.tokens == limit else ""
        self.ended = bool(finish)
        return self.key, token, finish


def decode(
    slots: Slots, prompts: Iterable[tuple[int, list[int]]], limit: int, ends: Collection[int]
) -> Iterator[tuple[int, int, str]]:
    """Continues every prompt greedily by at most `limit` tokens; yields (key, token, finish) as tokens come.

    `finish` is empty, `stop` with one of the tokens in `ends`, or `length`. Prompts wait for a free row.
    """
    waiting = iter(prompts)
    running: list[_Text | None] = [None] * slots.rows
    under_way: tuple[Callable[[], list[int]], list[_Text | None]] | None = None
    while True:
        for row in range(slots.rows):
            while running[row] is None and (job := next(waiting, None)) is not None:
                text = _Text(job[0])
                yield text.take(slots.prompt(row, job[1]), limit, ends)
                running[row] = None if text.ended else text
        # the next step starts before the last one is read: a row that has just ended makes one token for nothing
        ahead = (slots.step(), list(running)) if any(running) else None
        if under_way:
            read, owners = under_way
            for row, (text, token) in enumerate(zip(owners, read(), strict=True)):
                if text is not None and not text.ended:
                    yield text.take(token, limit, ends)
                    if text.ended:
                        running[row] = None
        under_way = ahead
        if under_way is None and not any(running):
            return


@dataclass
class _Written:
    ids: list[int] = field(default_factory=list)
    stats: RunStats = field(default_factory=RunStats)
    start: float = 0.0


def write_all(
    make_slots: Callable[[int, int], Slots],
    prompts: Sequence[list[int]],
    batch: int,
    limit: int,
    ends: Collection[int],
    on_done: Callable[[int, list[int], RunStats], None],
    stop: threading.Event,
) -> None:
    """Continues all prompts, `batch` at a time; `on_done(index, ids, stats)` for each as it ends, in any order.

    Prompts are taken by length, so that short ones do not pay for the attention of long ones. When the GPU's memory
    does not suffice, the batch is halved and unfinished texts start again.

    Args:
        make_slots: (rows, length) → slots.
        stop: ends the work after the current token; unfinished texts are dropped.

    Raises:
        SlimError: not even one row fits into the GPU's memory.
    """
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        groups.setdefault(-(-(len(prompt) + limit) // REACH) * REACH, []).append(index)
    for length in sorted(groups):
        left = dict.fromkeys(groups[length])  # ordered, and an index goes as soon as it is done
        while left and not stop.is_set():
            if _write_group(make_slots, prompts, left, min(batch, len(left)), length, limit, ends, on_done, stop):
                continue
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if min(batch, len(left)) == 1:
                raise SlimError(OUT_OF_MEMORY)
            batch = min(batch, len(left)) // 2
            log.warning("The GPU's memory does not suffice: going on with %d texts at a time.", batch)


def _write_group(make_slots, prompts, left, rows, length, limit, ends, on_done, stop) -> bool:
    """Prompts that fit `length`; False when memory ran out (its tensors are gone once this has returned)."""
    written: dict[int, _Written] = {}

    def jobs() -> Iterator[tuple[int, list[int]]]:
        for index in tuple(left):
            written[index] = _Written(start=time.perf_counter())
            yield index, prompts[index]

    try:
        slots = make_slots(rows, length)
        slots.reserve(length)
        for index, token, finish in decode(slots, jobs(), limit, ends):
            text = written[index]
            text.stats.tokens += 1
            text.stats.first_token_seconds = text.stats.first_token_seconds or time.perf_counter() - text.start
            if finish != "stop":
                text.ids.append(token)
            if finish:
                text.stats.seconds = time.perf_counter() - text.start
                text.stats.prompt_tokens, text.stats.finish_reason = len(prompts[index]), finish
                del left[index], written[index]
                on_done(index, text.ids, text.stats)
            if stop.is_set():
                break
    except torch.OutOfMemoryError:
        return False
    return True
