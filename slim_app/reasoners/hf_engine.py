"""One loaded transformers model that writes for everybody: one text at a time, streamed, or many at once."""

from __future__ import annotations

import importlib.util
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from typing import NamedTuple

import torch

from slim_app.errors import SlimError
from slim_app.prompts import MAX_NEW_TOKENS, clean_title
from slim_app.reasoners import zerogpu
from slim_app.reasoners.hf_batch import OUT_OF_MEMORY, decode, write_all
from slim_app.reasoners.hf_load import HfModel
from slim_app.reasoners.hf_slots import COMPILED_REACH, Slots
from slim_app.reasoners.hf_text import TextStream
from slim_app.reasoners.penalties import Penalties
from slim_app.reasoners.running import exiting, inside_engine
from slim_app.schema import RunStats

log = logging.getLogger(__name__)
CONTEXT = 1_536
"""Tokens of a prompt and its rationale, as in the embedded engine."""
HEARTBEAT = 0.1
"""Seconds after which a waiting stream gives its caller a chance to stop."""


class Event(NamedTuple):
    """One token: the text it completes, and how the answer ended, if it did. Plain values: it may cross processes."""

    text: str = ""
    finish: str = ""
    """Empty, `stop`, `length` or `error` (then `text` is the message)."""
    at: float = 0.0
    """time.perf_counter() when it arrived here."""


class HfEngine:
    """A model, its running slots and a lock: whoever comes second waits.

    Args:
        penalties: on repetition; the default is plain greedy decoding, the paper's.
        compiled: fuse the kernels of a step with torch.compile; None = where that can work and pays.
        graphs: replay steps as CUDA graphs.
        limit: tokens of an answer.

    Raises:
        SlimError: the model's context leaves no room for a rationale.
    """

    def __init__(
        self,
        loaded: HfModel,
        penalties: Penalties | None = None,
        compiled: bool | None = None,
        graphs: bool = True,
        limit: int = MAX_NEW_TOKENS,
    ) -> None:
        self.loaded, self.penalties, self.limit = loaded, penalties or Penalties(), limit
        self.context = min(CONTEXT, loaded.context or CONTEXT)
        if self.context < limit + 64:
            raise SlimError(f"{loaded.base} reads {self.context} tokens: too few for a prompt and a rationale.")
        self.device = loaded.model.device
        if compiled is None:  # a process lent by ZeroGPU is too short-lived for a minute of compiling
            compiled = self.device.type == "cuda" and not zerogpu.active()
            compiled = compiled and importlib.util.find_spec("triton") is not None
        self._compiled, self._graphs = compiled, graphs
        self._breakers = loaded.breakers() if self.penalties.dry else []
        self._slots: Slots | None = None
        self._lock = threading.Lock()
        self._generate = zerogpu.gpu(self._generate_here)

    def fits(self, ids: Sequence[int]) -> bool:
        """Whether a prompt leaves room for a rationale."""
        return len(ids) <= self.context - self.limit

    def warm_up(self) -> None:
        """What the first visitor needs; then, beside the first visitors, the compiled step that takes its place.

        Nothing on ZeroGPU, where each call has its own process.
        """
        if zerogpu.active():
            return
        with self._lock:
            answer = self._generate_here([0] * 8, self.loaded.tuned)
            next(answer), next(answer, None)
            answer.close()
        if self._compiled:
            fresh = self._make_slots(1, self.context, compiled=True)
            fresh.reserve(min(COMPILED_REACH, self.context))
            with self._lock:
                self._slots = fresh

    def stream(self, ids: list[int], tuned: bool) -> Iterator[Event | None]:
        """The answer to a prompt, a token an event; None is a heartbeat. Closing the iterator stops the model."""
        events: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()

        def work() -> None:
            try:
                with inside_engine():
                    if self._my_turn(lambda: stop.is_set() or exiting.is_set()):
                        self._answer(ids, tuned, events, stop)
            except Exception as error:  # whatever it was, the visitor gets words; ZeroGPU's own have some
                events.put(Event(_could_not(error), "error"))
            finally:
                events.put(StopIteration)

        # ZeroGPU finds the visitor, whose quota it is, in the context
        thread = threading.Thread(target=copy_context().run, args=(work,), daemon=True, name="slim-reasoner")
        thread.start()
        try:
            while True:
                try:
                    event = events.get(timeout=HEARTBEAT)
                except queue.Empty:
                    yield None
                    continue
                if event is StopIteration:
                    return
                yield event
        finally:
            stop.set()

    def _my_turn(self, given_up: Callable[[], bool]) -> bool:
        """Waits for the lock; False when nobody waits for the answer any more.

        On ZeroGPU each call gets a process of its own, into which a lock that is held would be forked: none is taken.
        """
        while not zerogpu.active() and not self._lock.acquire(timeout=HEARTBEAT):
            if given_up():
                return False
        return True

    def _answer(self, ids: list[int], tuned: bool, events: queue.SimpleQueue, stop: threading.Event) -> None:
        try:
            answer = self._generate(ids, tuned)
            try:
                for event in answer:
                    events.put(event._replace(at=time.perf_counter()))
                    if stop.is_set() or exiting.is_set():
                        break
            finally:
                answer.close()
        finally:
            if not zerogpu.active():
                self._lock.release()

    def _generate_here(self, ids: list[int], tuned: bool) -> Iterator[Event]:
        """Where the GPU is. Errors are events, since an exception would lose its words on the way between processes."""
        try:
            self.loaded.switch(tuned)
            if self._slots is None:
                self._slots = self._make_slots(1, self.context)
            self._slots.reserve(min(len(ids) + self.limit, self.context))
            text = TextStream(self.loaded.tokenizer)
            for _, token, finish in decode(self._slots, [(0, ids)], self.limit, self.loaded.ends):
                delta = text.add(token) if finish != "stop" else ""
                yield Event(delta + text.end() if finish else delta, finish)
            return
        except torch.OutOfMemoryError:
            message = OUT_OF_MEMORY
        except Exception as error:
            message = _could_not(error)
        self._slots = None  # also a state that an error has left half-way
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        yield Event(message, "error")

    def write(
        self,
        prompts: Sequence[list[int]],
        tuned: bool,
        batch: int,
        on_done: Callable[[int, list[int], RunStats], None],
        stop: threading.Event,
    ) -> None:
        """See `hf_batch.write_all`. Blocks; the memory of the single stream is given back before."""
        with self._lock:
            self.loaded.switch(tuned)
            self._slots = None
            write_all(self._make_slots, prompts, batch, self.limit, self.loaded.ends, on_done, stop)

    def _make_slots(self, rows: int, length: int, compiled: bool = False) -> Slots:
        return Slots(self.loaded.model, rows, length, self.penalties, self._breakers, self._graphs, compiled)


def _could_not(error: Exception) -> str:
    what = clean_title(str(error), 160) or type(error).__name__
    return f"The student could not answer ({what}). Run it again, with a shorter history if this remains."
