"""Products of a bound text, line by line: whole, and each once.

A grammar cannot remember what it has allowed before. So a product that was named already is taken back before anybody
sees it, and the writer is asked to go on from the line before, without the titles that are used up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from slim_app.catalog import normal
from slim_app.schema import RunStats

STEP = "\nStep 3:"
Ask = Callable[[str, Sequence[str], RunStats], Iterator[str] | None]
"""(text so far, products in it, stats to fill) → the stream that goes on; None when there is nothing to go on with."""


@dataclass
class Lines:
    """A growing text, of which Step 3 is shown by complete lines: half a title is no product."""

    text: str = ""
    """Shown so far."""
    named: list[str] = field(default_factory=list)
    """Products in it."""
    waiting: str = ""
    """Written but not shown yet."""

    def take(self, delta: str, ended: bool = False) -> tuple[str, bool]:
        """What can be shown now, and whether a product came a second time: then what waited is dropped.

        Args:
            ended: the text is complete, and so is its last line.
        """
        whole, place = self.text + self.waiting + delta, len(self.text)
        begin = whole.find(STEP)
        again = False
        end = len(whole) if begin < 0 else max(place, begin + len(STEP))
        while begin >= 0 and end < len(whole):
            stop = whole.find("\n", end + 1)
            if stop < 0 and not ended:
                break
            line = whole[end : stop if stop >= 0 else len(whole)]
            product = line.partition(". ")[2]
            again = normal(product) in map(normal, self.named) if product else False
            if again:
                break
            self.named += [product] if product else []
            end += len(line)
        self.text, self.waiting = whole[:end], "" if again else whole[end:]
        return whole[place:end], again


def distinct_products(ask: Ask, stats: RunStats) -> Iterator[str]:
    """The stream of a whole text whose products are whole and differ.

    Args:
        ask: is called with an empty text first, and again after each product that was taken back.
        stats: filled as `reasoners.base.Reasoner.stream` says. Its tokens are those of the text: what was taken back
            takes time, but no room.
    """
    lines, again = Lines(), True
    while again:
        part, again = RunStats(), False
        deltas = ask(lines.text, tuple(lines.named), part)
        if deltas is None:
            stats.finish_reason = "stop"
            return
        before = kept = stats.tokens
        try:
            with closing(deltas):
                for delta in deltas:
                    shown, again = lines.take(delta)
                    kept = before + part.tokens if shown else kept
                    stats.tokens, stats.seconds = before + part.tokens, part.seconds
                    stats.first_token_seconds = stats.first_token_seconds or part.first_token_seconds
                    yield shown
                    if again:
                        break
            if not again and part.finish_reason == "stop":
                shown, again = lines.take("", ended=True)
                yield shown
        finally:
            stats.tokens = kept if again else before + part.tokens
            stats.prompt_tokens = stats.prompt_tokens or part.prompt_tokens
            stats.finish_reason = part.finish_reason
            stats.decode_tokens_per_second = part.decode_tokens_per_second or stats.decode_tokens_per_second
