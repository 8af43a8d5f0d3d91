"""Writers that tests can script: real threads, no model."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

from slim_app.errors import SlimError
from slim_app.prompts import teacher_prompt
from slim_app.rationale import format_rationale
from slim_app.schema import Item, ModelInfo, RunStats, shown

GOOD = format_rationale(
    "You like racing.", ["Racing games", "Wheels", "Sandbox", "Headsets", "Farming sims"],
    ["Forza Horizon 5", "EA Sports F1 23", "Logitech G29 Driving Force", "Minecraft", "Stardew Valley"],
)  # fmt: skip
OTHER = format_rationale(
    "You like calm games.", ["RACING GAMES!", "Farming", "Sandbox", "Puzzles", "Music"],
    ["Forza Horizon 5 - Xbox Series X", "Tetris", "Rez", "Stardew Valley", "Lumines"],
)  # fmt: skip
STALL, CRASH = "stall", "crash"


class Scripted:
    """Writes `text` in pieces of 8 characters, `pause` seconds apart, then does what `end` says.

    `started` and `closed` hold the times of each run; `inside` those that write now.
    """

    def __init__(
        self, text: str = GOOD, name: str = "Writer", pause: float = 0.0, end: str | SlimError = "", engine=None,
        **info,
    ) -> None:  # fmt: skip
        self.info = ModelInfo(name, prompt_version="1", **info)
        self.text, self.pause, self.end = text, pause, end
        if engine is not None:
            self.engine = engine
        self.started: list[float] = []
        self.closed: list[float] = []

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        return shown(history)

    def prompt(self, history: Sequence[Item]) -> str:
        return teacher_prompt(history)

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        start = time.monotonic()
        self.started.append(start)
        try:
            for n in range(0, len(self.text), 8):
                time.sleep(self.pause)
                stats.tokens += 2
                stats.seconds = time.monotonic() - start
                stats.first_token_seconds = stats.first_token_seconds or stats.seconds
                yield self.text[n : n + 8]
            while self.end == STALL:
                time.sleep(0.01)
                yield ""
            if self.end == CRASH:
                raise ValueError("a fault of its own")
            if isinstance(self.end, SlimError):
                raise self.end
            stats.prompt_tokens, stats.billed_tokens, stats.finish_reason = 100, stats.tokens, "stop"
        finally:
            self.closed.append(time.monotonic())


def comparing() -> set[threading.Thread]:
    """Threads of comparisons that are alive."""
    return {thread for thread in threading.enumerate() if thread.name == "slim-compare"}
