"""The embedded student and its untuned base on a CPU, behind the Reasoner contract.

One loaded model serves both: the LoRA adapter is applied with scale 1 for the student, 0 for its base.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence

from slim_app.errors import SlimError
from slim_app.prompts import MAX_NEW_TOKENS, PROMPT_VERSION, clean_title, student_prompt
from slim_app.reasoners.catalogue_grammar import CatalogueGrammar
from slim_app.reasoners.distinct_products import distinct_products
from slim_app.reasoners.engine import Engine
from slim_app.reasoners.grammar import rationale_grammar
from slim_app.schema import Item, ModelInfo, RunStats, shown

DRY = {"dry_multiplier": 1.5, "dry_allowed_length": 3, "dry_penalty_last_n": 1200}
"""llama.cpp's penalty on repeating a run of tokens, purchases included: chosen on the held-out tenth (model card)."""
BOUND_NOTE = "Its products are bound to the catalogue: it could name no other title."
LEFT_OUT_NOTE = " Of its titles, {count:,} could not be offered: too long, or not readable as a product."
HEARTBEAT = 0.1
"""Seconds after which a waiting stream gives its caller a chance to stop."""


class LlamaCppReasoner:
    """The student (adapter on) or its untuned base (adapter off) behind the Reasoner contract.

    Args:
        tuned: apply the engine's adapter.
        grammar: write under the grammar that makes the three steps certain.
        catalogue: products are titles of this catalogue that the history does not hold.
    """

    def __init__(
        self, engine: Engine, tuned: bool, grammar: bool = True, name: str = "",
        catalogue: CatalogueGrammar | None = None,
    ) -> None:  # fmt: skip
        assert not (tuned and engine.adapter is None), "an engine without an adapter has no tuned student"
        assert grammar or catalogue is None, "the titles are part of the grammar"
        self.engine = engine
        self.grammar = grammar
        self.catalogue = catalogue
        base = engine.model_path.stem.split(".")[0]  # without the quantisation
        self.info = ModelInfo(
            name=name or ("SLIM student" if tuned else base.replace("-Instruct", "")),
            base=base,
            adapter=engine.adapter.name if tuned and engine.adapter else "",
            tuned=tuned,
            prompt_version=PROMPT_VERSION,
            device="CPU",
            note=_bound_note(catalogue) if catalogue else "",
            bound=catalogue is not None,
        )

    def bound(self, catalogue: CatalogueGrammar) -> LlamaCppReasoner:
        """The same writer on the same engine, its products bound to a catalogue."""
        return LlamaCppReasoner(self.engine, self.info.tuned, name=self.info.name, catalogue=catalogue)

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The newest purchases that fit into a slot's context (titles in some scripts take a token a byte)."""
        read = shown(history)
        while len(read) > 1 and not self.engine.fits(student_prompt(read)):
            read = read[max(1, len(read) // 8) :]
        return read

    def prompt(self, history: Sequence[Item]) -> str:
        """T_s, filled."""
        return student_prompt(self.read(history))

    def request(self, history: Sequence[Item], text: str = "", named: Sequence[str] = (), tokens: int = 0) -> dict:
        """The whole chat request: greedy, so the same history always gets the same rationale.

        Args:
            text: what the answer begins with, up to the last of the products `named`; it took so many `tokens`.

        Raises:
            SlimError: bound to a catalogue, and no title of it is left.
        """
        so_far = [{"role": "assistant", "content": text}] if text else []
        request = {
            "messages": [{"role": "user", "content": self.prompt(history)}, *so_far],
            "max_tokens": max(1, MAX_NEW_TOKENS - tokens),
            "temperature": 0,
            **DRY,
            # a prompt continued from an earlier one is computed in other batches: rounding then changes the text
            "cache_prompt": False,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.grammar:
            used = [*history, *(Item("", title) for title in named)]
            rules = self.catalogue.rules(used) if self.catalogue else ""
            request["grammar"] = rationale_grammar(self.info.tuned, product_rules=rules, written=len(named))
        if self.engine.adapter is not None:
            request["lora"] = [{"id": 0, "scale": 1.0 if self.info.tuned else 0.0}]
        return request

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """See `reasoners.base.Reasoner.stream`. Several tokens may arrive in one delta."""
        start = time.perf_counter()

        def ask(text: str, named: Sequence[str], part: RunStats) -> Iterator[str] | None:
            try:
                request = self.request(history, text, named, stats.tokens)
            except SlimError:
                if named:
                    return None  # a small catalogue: all of it was named
                raise
            return self._answer(request, part, start)

        try:
            yield from (
                distinct_products(ask, stats) if self.catalogue else self._answer(self.request(history), stats, start)
            )
        finally:
            stats.seconds = time.perf_counter() - start
            stats.finish_reason = stats.finish_reason or "cancelled"

    def _answer(self, request: dict, stats: RunStats, start: float) -> Iterator[str]:
        """The deltas of one request; closing them ends it."""
        events: queue.SimpleQueue = queue.SimpleQueue()
        stop = threading.Event()

        def on_event(event) -> bool:
            events.put(event)
            return stop.is_set()  # True tells the engine to end this request

        def work() -> None:
            try:
                self.engine.chat(request, on_event)
            except Exception as error:  # the engine's C++ errors arrive as RuntimeError; the visitor gets words
                events.put({"error": {"message": str(error)}})
            events.put(None)

        threading.Thread(target=work, daemon=True, name="slim-reasoner").start()
        try:
            yield from self._deltas(events, stats, start)
        finally:
            stop.set()

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


def _bound_note(catalogue: CatalogueGrammar) -> str:
    return BOUND_NOTE + (LEFT_OUT_NOTE.format(count=catalogue.left_out) if catalogue.left_out else "")
