"""Edits of a rationale, segment by segment: struck out, weighted, rewritten, added; with undo, redo and reset.

Every edit gives a new `Edits` and leaves the old one as it was, so nothing is shared between two visitors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from slim_app.errors import SlimError
from slim_app.prompts import clean_title
from slim_app.rationale import LIMITS, format_rationale
from slim_app.schema import Rationale

MAX_WEIGHT = 5.0
MAX_WEIGHTS = 8
"""Different weights in one text, 0 left aside: each is a level on which everything is scored again."""
MAX_TEXT = 500
"""Characters of a rewritten or added segment."""
MAX_UNDO = 200
"""Edits that can be undone; older ones are forgotten."""


@dataclass(frozen=True)
class Part:
    """One segment under edit."""

    key: str
    """The segment's key in the rationale it came from (`3.2`), or `+1`, `+2` … for an added one; never reused."""
    step: int
    text: str
    weight: float = 1.0
    """1 = as written, 0 = struck out; `steering.weighted` says what lies between and above."""
    original: str = ""
    """What the rationale says there; empty for an added segment."""

    @property
    def marks(self) -> tuple[str, ...]:
        """What was done to it: some of `struck`, `weighted`, `rewritten`, `added`; nothing when it is as written."""
        changed = "added" if not self.original else "rewritten" if self.text != self.original else ""
        weighed = "struck" if self.weight == 0 else "weighted" if self.weight != 1 else ""
        return tuple(filter(None, (changed, weighed)))


Parts = tuple[Part, ...]


@dataclass(frozen=True)
class Edits:
    """A rationale's segments as they are now, and how they came to be so."""

    start: Parts
    now: Parts
    past: tuple[Parts, ...] = ()
    future: tuple[Parts, ...] = ()

    @classmethod
    def of(cls, rationale: Rationale) -> Edits:
        """Nothing edited yet.

        Raises:
            SlimError: the rationale has no segments.
        """
        parts = tuple(Part(s.key, s.step, s.text, original=s.text) for s in rationale.segments())
        if not parts:
            raise SlimError("There is no reasoning to edit yet. Run the model first, or give a text with the steps.")
        return cls(parts, parts)

    def strike(self, key: str) -> Edits:
        """Leave a segment out of the ranking; `weigh(key, 1)` takes it in again."""
        return self.weigh(key, 0)

    def weigh(self, key: str, weight: float) -> Edits:
        """Change how much a segment counts, 0 to `MAX_WEIGHT`.

        Raises:
            SlimError: another weight, an unknown key, or more than `MAX_WEIGHTS` different ones.
        """
        edits = self._with(key, weight=checked_weight(weight))
        if len({part.weight for part in edits.now} - {0}) > MAX_WEIGHTS:
            raise SlimError(f"A text takes at most {MAX_WEIGHTS} different weights. Use one of those that it has.")
        return edits

    def rewrite(self, key: str, text: str) -> Edits:
        """Put other words in a segment's place; it stays one segment, whatever they are.

        Raises:
            SlimError: no words, or an unknown key.
        """
        return self._with(key, text=checked_text(text))

    def add(self, step: int, text: str) -> Edits:
        """A new segment at the end of a step.

        Raises:
            SlimError: no words, no such step, or the step is full.
        """
        if isinstance(step, bool) or not isinstance(step, (int, float)) or step not in LIMITS:
            raise SlimError(f"A segment belongs to step 1, 2 or 3, not to “{str(step)[:20]}”.")
        if sum(part.step == step for part in self.now) >= LIMITS[step]:
            raise SlimError(f"Step {step} holds at most {LIMITS[step]} segments. Rewrite or strike out one of them.")
        taken = [int(part.key[1:]) for part in self.now if part.key.startswith("+")]
        part = Part(f"+{max(taken, default=0) + 1}", int(step), checked_text(text))
        return self._to((*self.now, part))

    def undo(self) -> Edits:
        """Back by one edit; the same when there is none."""
        if not self.past:
            return self
        return replace(self, now=self.past[-1], past=self.past[:-1], future=(self.now, *self.future))

    def redo(self) -> Edits:
        """Take back an `undo`; the same when nothing was undone since the last edit."""
        if not self.future:
            return self
        return replace(self, now=self.future[0], past=(*self.past, self.now), future=self.future[1:])

    def reset(self) -> Edits:
        """As it was written. This is an edit, too: it can be undone."""
        return self._to(self.start)

    @property
    def edited(self) -> bool:
        return self.now != self.start

    def rationale(self) -> Rationale:
        """What is left of it, without what is struck out and without weights."""
        return as_rationale([part for part in self.now if part.weight > 0])

    @classmethod
    def from_rows(cls, rationale: Rationale, rows: object) -> Edits:
        """Edits of a rationale from elsewhere (a link, a caller): one step that can be undone.

        Args:
            rows: objects with `key`, `text` and `weight`, and `step` for an added segment. What is not named there
                stays as it is written.

        Raises:
            SlimError: not such a list; says which row.
        """
        edits = cls.of(rationale)
        start = edits
        if not isinstance(rows, (list, tuple)) or len(rows) > sum(LIMITS.values()):
            raise SlimError("The edits must be a list of segments, each with key, text and weight.")
        known = {part.key for part in edits.now}
        for number, row in enumerate(rows, start=1):
            try:
                key, text = str(row["key"]), row.get("text")
                if key not in known:
                    edits = edits.add(row["step"], text)
                    key = edits.now[-1].key
                elif text is not None and text != next(part.text for part in edits.now if part.key == key):
                    edits = edits.rewrite(key, text)
                edits = edits.weigh(key, row.get("weight", 1))
            except (KeyError, TypeError, AttributeError):
                raise SlimError(f"Edit {number} is not a segment with key, text and weight.") from None
            except SlimError as error:
                raise SlimError(f"Edit {number}: {error}") from None
        return start._to(edits.now)

    def _with(self, key: str, **change: object) -> Edits:
        if all(part.key != key for part in self.now):
            raise SlimError(f"There is no segment “{str(key)[:20]}” in this text. It may have been reset or undone.")
        return self._to(tuple(replace(part, **change) if part.key == key else part for part in self.now))

    def _to(self, parts: Parts) -> Edits:
        if parts == self.now:
            return self
        return replace(self, now=parts, past=(*self.past, self.now)[-MAX_UNDO:], future=())


def as_rationale(parts: Sequence[Part]) -> Rationale:
    """The canonical rationale of some segments; not parsed again, so each stays one segment."""
    steps = {step: tuple(part.text for part in parts if part.step == step) for step in LIMITS}
    text = format_rationale(" ".join(steps[1]), steps[2], steps[3])
    return Rationale(steps[1], steps[2], steps[3], text, complete=all(steps.values()))


def checked_weight(weight: object) -> float:
    """Raises SlimError unless it is a number from 0 to `MAX_WEIGHT`."""
    usable = isinstance(weight, (int, float)) and not isinstance(weight, bool)
    if not usable or not 0 <= weight <= MAX_WEIGHT:  # false for NaN, too
        raise SlimError(f"A weight is a number from 0 (struck out) to {MAX_WEIGHT:g}, not “{str(weight)[:20]}”.")
    return float(weight)


def checked_text(text: object) -> str:
    """One clean line. Raises SlimError when nothing is left of it."""
    line = clean_title(text, MAX_TEXT) if isinstance(text, str) else ""
    if not line:
        raise SlimError("A segment needs words. Write some, or strike it out.")
    return line
