"""Keeps a reasoning model's leading <think>…</think> block out of the text that a person reads."""

from __future__ import annotations

OPEN, CLOSE = "<think>", "</think>"


class ThinkFilter:
    """Feed it pieces as they arrive; it gives back what may be shown. Tags may be cut anywhere between pieces.

    Only a block at the very start counts: further on, the tag is something that the model wrote about.
    White space before the text is dropped with it.
    """

    def __init__(self) -> None:
        self.hidden = False
        """True once a block was found (or set from outside): the server's count then includes words nobody saw."""
        self._state = "start"  # → "thought" → "after", or straight → "text"; "after" → "text"
        self._held = ""

    def feed(self, piece: str) -> str:
        """What became visible with this piece; empty while it is thought, or may still turn out to be."""
        if self._state == "text":
            return piece
        self._held += piece
        if self._state == "start":
            self._held = self._held.lstrip()
            if len(self._held) < len(OPEN) and OPEN.startswith(self._held):  # also true of nothing at all
                return ""
            self._state = "thought" if self._held.startswith(OPEN) else "after"
            self.hidden = self.hidden or self._state == "thought"
            self._held = self._held.removeprefix(OPEN)
        if self._state == "thought":
            _, close, rest = self._held.partition(CLOSE)
            if not close:
                self._held = self._held[-len(CLOSE) + 1 :]  # enough to recognise a tag that is cut in two
                return ""
            self._state, self._held = "after", rest
        self._held = self._held.lstrip()
        return self.flush()

    def flush(self) -> str:
        """At the end of the answer: what was held back as a possible tag and is text after all."""
        text, self._held = ("", self._held) if self._state == "thought" else (self._held, "")
        if text:
            self._state = "text"
        return text
