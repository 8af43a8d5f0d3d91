"""Stored rationales, replayed as a stream and labelled as recorded."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from slim_app.errors import SlimError
from slim_app.rationale import format_rationale
from slim_app.schema import Item, ModelInfo, RunStats, Shopper, shown

NAP = 0.05
"""Longest sleep in seconds, so that closing never waits longer than that."""
TEACHER_NOTE = (
    "Written in advance for this sample by a large language model that knew the held-out next purchase: "
    "an illustration, not a score."
)
_WORD = re.compile(r"\s*\S+\s*")


class Recorded:
    """Replays `entries` (item ids of a history → rationale text) at a reading pace.

    `tokens_per_second` counts word pieces; 0 or infinity means at once. As in the prompts, only the newest
    `MAX_HISTORY` purchases count.
    """

    def __init__(
        self, entries: Mapping[tuple[str, ...], str], info: ModelInfo, tokens_per_second: float = 80.0
    ) -> None:
        self.info = info
        self._entries = {tuple(shown(key)): text for key, text in entries.items()}
        self._pause = 1 / tokens_per_second if 0 < tokens_per_second < math.inf else 0.0

    def read(self, history: Sequence[Item]) -> Sequence[Item]:
        """The newest `MAX_HISTORY` purchases."""
        return shown(history)

    def prompt(self, history: Sequence[Item]) -> str:
        """Empty: nothing is asked."""
        return ""

    def stream(self, history: Sequence[Item], stats: RunStats) -> Iterator[str]:
        """Yield the stored text word by word; put together, the pieces are exactly the stored text.

        Raises:
            SlimError: nothing is stored for this history.
        """
        words = _WORD.findall(self._entries.get(tuple(item.id for item in shown(history)), ""))
        if not words:
            stats.finish_reason = "error"
            raise SlimError(
                "A recorded rationale exists only for the unchanged sample histories. "
                "Pick a sample again, or choose the live student."
            )
        start, reason = time.monotonic(), "cancelled"
        try:
            for count, word in enumerate(words, start=1):
                # Against the clock rather than pause by pause, so that a slow reader does not slow the replay.
                while (left := start + count * self._pause - time.monotonic()) > 0:
                    time.sleep(min(NAP, left))
                    if left > NAP:
                        yield ""
                stats.tokens, stats.seconds = count, time.monotonic() - start
                stats.first_token_seconds = stats.first_token_seconds or stats.seconds
                yield word
            reason = "stop"
        finally:
            stats.finish_reason = reason


def from_shoppers(shoppers: Sequence[Shopper]) -> Recorded:
    """The teacher's recorded rationales of a domain's sample shoppers; shoppers without one are left out."""
    entries = {
        shopper.history: format_rationale(shopper.step1, shopper.step2, shopper.step3)
        for shopper in shoppers
        if shopper.step1 or shopper.step2 or shopper.step3
    }
    return Recorded(entries, ModelInfo("Teacher, recorded", kind="recorded", note=TEACHER_NOTE))
