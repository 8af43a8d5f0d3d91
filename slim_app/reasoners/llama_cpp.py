"""The embedded student and its untuned base on a CPU: llama.cpp's own server inside the process (xllamacpp).

One loaded model serves both: the LoRA adapter is applied with scale 1 for the student, 0 for its base.
Requests share `slots` by continuous batching; a request beyond that waits inside the engine.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import secrets
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slim_app import weights
from slim_app.errors import SlimError
from slim_app.prompts import MAX_NEW_TOKENS, PROMPT_VERSION, clean_title, student_prompt
from slim_app.reasoners.grammar import UNTUNED_OPENING, rationale_grammar
from slim_app.schema import Item, ModelInfo, RunStats, shown

DEFAULT_STUDENT = "smollm2-135m"
CONTEXT_PER_SLOT = 1_536
"""The template, 300 new tokens and 20 English titles of 120 characters; other scripts may fill it with fewer."""
PROMPT_BUDGET = CONTEXT_PER_SLOT - MAX_NEW_TOKENS - 64
"""Tokens that T_s may take; 64 are the chat template's."""
REPEAT_PENALTY = 1.1
HEARTBEAT = 0.1
"""Seconds after which a waiting stream gives its caller a chance to stop."""

_running: set[threading.Thread] = set()
_exiting = threading.Event()


@atexit.register
def _end_running() -> None:
    """A thread that is inside the engine when the interpreter goes down would crash the process."""
    _exiting.set()
    for thread in tuple(_running):
        thread.join(timeout=5)


class Engine:
    """One llama.cpp server with its model and, optionally, one adapter; shared by all reasoners on it.

    Raises:
        SlimError: missing weights, or an adapter that is corrupt or was trained for another base.
    """

    def __init__(self, base: str = "", adapter: Path | None = None, threads: int = 0, slots: int = 8) -> None:
        self.model_path = weights.resolve(weights.STUDENT_BASE, base)
        self.adapter = adapter
        if adapter is not None:
            from slim_app.reasoners.adapter import check_adapter

            check_adapter(adapter, self.model_path)
        self.slots = slots
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(self.model_path)
        params.n_parallel = slots
        params.n_ctx = CONTEXT_PER_SLOT * slots
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or os.cpu_count() or 1
        params.verbosity = -1
        # the server also listens on a loopback port: nobody else on the machine needs to reach it
        self._key = secrets.token_hex(16)
        params.api_keys = [self._key]
        params.ui = False
        if adapter is not None:
            params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(str(adapter), 1.0)]
        try:
            self._server = xllamacpp.Server(params)
        except RuntimeError as error:
            what = f" with the adapter {adapter}" if adapter else ""
            raise SlimError(
                f"The model {self.model_path.name}{what} could not be loaded ({error}). "
                "The file may be incomplete: install the weights again, or start without the adapter."
            ) from None

    def chat(self, request: dict, on_event) -> None:
        """Blocks until the answer has ended; `on_event(dict)` gets each chunk and returns True to stop."""
        thread = threading.current_thread()
        _running.add(thread)
        try:
            self._server.handle_chat_completions(request, lambda event: on_event(event) or _exiting.is_set())
        finally:
            _running.discard(thread)

    def fits(self, prompt: str) -> bool:
        """Whether a prompt leaves room for a rationale; counted by the server, the binding has no tokenizer.

        Raises:
            SlimError: the engine does not answer.
        """
        if len(prompt.encode()) <= PROMPT_BUDGET:
            return True  # a token is at least one byte
        headers = {"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"}
        body = json.dumps({"content": prompt}).encode()
        request = urllib.request.Request(f"{self._server.listening_address}/tokenize", body, headers)
        try:  # straight to loopback, whatever proxy the environment names
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
                return len(json.load(answer)["tokens"]) <= PROMPT_BUDGET
        except OSError as error:
            raise SlimError(f"The student does not answer ({error}). Restart the app.") from None

    def warm_up(self) -> None:
        """One token in every slot, so that the first visitor finds code and weights in memory."""
        request = {"messages": [{"role": "user", "content": student_prompt([Item("", "warm-up")])}], "max_tokens": 1}
        threads = [threading.Thread(target=self.chat, args=(dict(request), lambda _: None)) for _ in range(self.slots)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


class LlamaCppReasoner:
    """The student (adapter on) or its untuned base (adapter off) behind the Reasoner contract.

    Args:
        tuned: apply the engine's adapter.
        grammar: write under the grammar that makes the three steps certain.
    """

    def __init__(self, engine: Engine, tuned: bool, grammar: bool = True, name: str = "") -> None:
        assert not (tuned and engine.adapter is None), "an engine without an adapter has no tuned student"
        self.engine = engine
        self.grammar = grammar
        base = engine.model_path.stem.split(".")[0]  # without the quantisation
        self.info = ModelInfo(
            name=name or ("SLIM student" if tuned else base.replace("-Instruct", "")),
            base=base,
            adapter=engine.adapter.name if tuned and engine.adapter else "",
            tuned=tuned,
            prompt_version=PROMPT_VERSION,
            device="CPU",
        )

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The newest purchases that fit into a slot's context (titles in some scripts take a token a byte)."""
        read = shown(history)
        while len(read) > 1 and not self.engine.fits(student_prompt(read)):
            read = read[max(1, len(read) // 8) :]
        return read

    def prompt(self, history: Sequence[Item]) -> str:
        """T_s, filled."""
        return student_prompt(self.read(history))

    def request(self, history: Sequence[Item]) -> dict:
        """The whole chat request: greedy, so the same history always gets the same rationale."""
        request = {
            "messages": [{"role": "user", "content": self.prompt(history)}],
            "max_tokens": MAX_NEW_TOKENS,
            "temperature": 0,
            "repeat_penalty": REPEAT_PENALTY,
            # a prompt continued from an earlier one is computed in other batches: rounding then changes the text
            "cache_prompt": False,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.grammar:
            request["grammar"] = rationale_grammar("" if self.info.tuned else UNTUNED_OPENING)
        if self.engine.adapter is not None:
            request["lora"] = [{"id": 0, "scale": 1.0 if self.info.tuned else 0.0}]
        return request

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """See `reasoners.base.Reasoner.stream`. Several tokens may arrive in one delta."""
        events: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()

        def on_event(event) -> bool:
            events.put(event)
            return stop.is_set()  # True tells the engine to end this request

        def work() -> None:
            try:
                self.engine.chat(self.request(history), on_event)
            except Exception as error:  # the engine's C++ errors arrive as RuntimeError; the visitor gets words
                events.put({"error": {"message": str(error)}})
            events.put(None)

        start = time.perf_counter()
        threading.Thread(target=work, daemon=True, name="slim-reasoner").start()
        try:
            yield from self._deltas(events, stats, start)
        finally:
            stop.set()
            stats.seconds = time.perf_counter() - start
            stats.finish_reason = stats.finish_reason or "cancelled"

    def _deltas(self, events: queue.SimpleQueue, stats: RunStats, start: float) -> Iterator[str]:
        while True:
            try:
                batch = [events.get(timeout=HEARTBEAT)]
            except queue.Empty:
                yield ""
                continue
            while not events.empty():
                batch.append(events.get())
            text, ended = "", False
            for event in batch:
                if event is None:
                    ended = True
                    continue
                for chunk in event if isinstance(event, list) else [event]:
                    text += self._read(chunk, stats)
            if text:
                stats.first_token_seconds = stats.first_token_seconds or time.perf_counter() - start
                stats.seconds = time.perf_counter() - start
                yield text
            if ended:
                if not stats.tokens:
                    stats.finish_reason = "error"
                    raise SlimError("The student answered without text. Change the history a little and run it again.")
                return

    def _read(self, chunk: dict, stats: RunStats) -> str:
        """One chunk's text; counts tokens, notes why and how fast the answer ended."""
        if "error" in chunk:
            stats.finish_reason = "error"
            message = clean_title(str(chunk["error"].get("message", chunk["error"])), 160)
            raise SlimError(f"The student could not answer ({message}). Shorten the history and run it again.")
        text = ""
        for choice in chunk.get("choices") or ():
            piece = (choice.get("delta") or {}).get("content") or ""
            stats.tokens += bool(piece)
            text += piece
            stats.finish_reason = choice.get("finish_reason") or stats.finish_reason
        if usage := chunk.get("usage"):
            stats.tokens = usage.get("completion_tokens", stats.tokens)
            stats.prompt_tokens = usage.get("prompt_tokens", 0)
        if timings := chunk.get("timings"):
            stats.decode_tokens_per_second = float(timings.get("predicted_per_second", 0.0))
        return text


@dataclass(frozen=True)
class Student:
    """A student folder: `meta.json` and the GGUF adapter that it names."""

    name: str
    adapter: Path
    meta: dict


def read_student(name: str, folder: Path) -> Student | None:
    """The student of this name under `folder`, or at this path; None when the named one is not shipped.

    Raises:
        SlimError: an unreadable meta.json, a missing adapter file, or another prompt version.
    """
    path = Path(name) if Path(name).is_dir() else folder / name
    if not path.is_dir():
        if name == DEFAULT_STUDENT:
            return None  # nothing shipped: the caller uses the untuned base and says so
        raise SlimError(
            f"There is no student “{name}” (looked in {path}). Give --student a folder with a meta.json, or base."
        )
    try:
        meta = json.loads((path / "meta.json").read_text("utf-8"))
        adapter = path / meta["adapter"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SlimError(
            f"The student folder {path} has no usable meta.json ({error!r}). Export the adapter again."
        ) from None
    if meta.get("prompt_version") != PROMPT_VERSION:
        raise SlimError(
            f"The student in {path} was trained with prompt version {meta.get('prompt_version')!r}; this app writes "
            f"version {PROMPT_VERSION!r}. Distil it again, or start with --student base."
        )
    return Student(str(meta.get("name") or path.name), adapter, meta)
