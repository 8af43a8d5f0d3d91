"""The in-process student on transformers, for GPUs (LLaMA2-7B with LoRA, say), behind the Reasoner contract."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION, student_prompt
from slim_app.reasoners import zerogpu
from slim_app.reasoners.hf_engine import HfEngine
from slim_app.reasoners.hf_text import decoded, prompt_ids
from slim_app.schema import Item, ModelInfo, RunStats, shown


class HfReasoner:
    """The student or its untuned base; both may share one engine, which switches its weights.

    Args:
        tuned: write with the adapter.
        name: for the page; default: the adapter's or base's.
    """

    def __init__(self, engine: HfEngine, tuned: bool, name: str = "") -> None:
        loaded = engine.loaded
        assert tuned == loaded.tuned or loaded.copies, "these weights were not kept"
        self.engine = engine
        self.info = ModelInfo(
            name=name or (f"{loaded.base}, distilled" if tuned else loaded.base),
            base=loaded.base,
            adapter=loaded.adapter if tuned else "",
            tuned=tuned,
            prompt_version=PROMPT_VERSION,
            device=_device(engine),
        )

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The newest purchases that leave room for a rationale."""
        read = shown(history)
        while len(read) > 1 and not self.engine.fits(self._ids(read)):
            read = read[max(1, len(read) // 8) :]
        return read

    def prompt(self, history: Sequence[Item]) -> str:
        """T_s, filled."""
        return student_prompt(self.read(history))

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """See `reasoners.base.Reasoner.stream`."""
        start = time.perf_counter()
        ids = self._ids(self.read(history))
        stats.prompt_tokens = len(ids)
        events = self.engine.stream(ids, self.info.tuned)
        first, wrote = 0.0, False
        try:
            for event in events:
                if event is None:
                    yield ""
                    continue
                if event.finish == "error":
                    stats.finish_reason = "error"
                    raise SlimError(event.text)
                stats.tokens += 1
                stats.seconds = event.at - start
                first = first or event.at
                stats.first_token_seconds = stats.first_token_seconds or stats.seconds
                if event.at > first:
                    stats.decode_tokens_per_second = (stats.tokens - 1) / (event.at - first)
                stats.finish_reason = event.finish
                if event.text:
                    wrote = True
                    yield event.text
            if not wrote:
                stats.finish_reason = "error"
                raise SlimError("The student answered without text. Change the history a little and run it again.")
        finally:
            events.close()
            stats.seconds = time.perf_counter() - start
            stats.finish_reason = stats.finish_reason or "cancelled"

    def write(
        self,
        histories: Sequence[Sequence[Item]],
        batch: int,
        on_done: Callable[[int, str, RunStats], None],
        stop: threading.Event | None = None,
    ) -> None:
        """A rationale for each history, `batch` at a time: `on_done(index, text, stats)` as each ends, in any order.

        The texts are those of `stream`, up to rounding where two tokens are all but equally likely. Blocks until all
        are written, or the token at which `stop` was set; then the unfinished ones are dropped. Where the GPU's memory
        does not suffice, the batch is halved and they are begun again; none is reported twice.

        Raises:
            SlimError: not even one at a time fits into the GPU's memory.
        """
        prompts = [self._ids(self.read(history)) for history in histories]

        def done(index: int, ids: list[int], stats: RunStats) -> None:
            on_done(index, decoded(ids, self.engine.loaded.tokenizer), stats)

        self.engine.write(prompts, self.info.tuned, batch, done, stop or threading.Event())

    def _ids(self, history: Sequence[Item]) -> list[int]:
        return prompt_ids(history, self.engine.loaded.tokenizer)


def _device(engine: HfEngine) -> str:
    """Words for the page."""
    if zerogpu.active():
        return "a shared GPU (ZeroGPU)"
    if engine.device.type == "cuda":
        import torch

        return torch.cuda.get_device_name(engine.device)
    return engine.device.type.upper()
