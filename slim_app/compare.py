"""Two or three writers on one history, side by side: one generator of whole states, each side on its own thread.

Sides that share an engine (a student and its untuned base: one loaded model) write one after the other. At the same
time they would take each other's computing time, and neither's speed would be its own; llama.cpp puts texts with
different adapters into different batches anyway. All others write at the same time.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from slim_app.compare_state import ENDED, CompareState, Side, SideState
from slim_app.comparison import summarise
from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.rationale import parse
from slim_app.recommenders.rank import check_k
from slim_app.schema import Item, Rationale, RunStats, shown

if TYPE_CHECKING:
    from slim_app.recommenders.text_match import Ranker
    from slim_app.recommenders.trained import TrainedRanker

log = logging.getLogger(__name__)
KEYS = "ABC"
REDRAW = 0.08
"""Seconds between two states, as in the pipeline."""
HEARTBEAT = 0.4
"""Longest time between two states, so that a consumer who has left is noticed."""
PATIENCE = 1.0
"""Seconds that closing waits for the engines; each looks for a stop ten times a second."""


class Run:
    """One comparison, to be read once through `states`.

    Args:
        sides: two or three, from left to right; a blind comparison has two, and shuffles them.
        history: purchases, oldest first.
        ranker: one that reads rationales.
        held_out: id of the purchase that came next (see `sample_of`), empty without one.
        seed: of the shuffling; drawn where None.

    Raises:
        SlimError: another number of sides, an empty history, a ranker without rationales, a next purchase that
            the catalogue lacks, or a bad k.
    """

    def __init__(
        self,
        sides: Sequence[Side],
        history: Sequence[Item],
        domain: Domain,
        encoder: TextEncoder,
        ranker: Ranker | TrainedRanker,
        held_out: str = "",
        k: int = 10,
        blind: bool = False,
        seed: int | None = None,
    ) -> None:
        if not 2 <= len(sides) <= (2 if blind else len(KEYS)):
            raise SlimError(f"Choose two{'' if blind else ' or three'} writers to compare, not {len(sides)}.")
        if not history:
            raise SlimError("The purchase history is empty. Add at least one product, or pick a sample shopper.")
        if not ranker.uses_rationale:
            raise SlimError(f"The ranker “{ranker.name}” reads no rationales. Choose one that does to compare writers.")
        if held_out and held_out not in domain.catalog.row_of_id:
            where = f"is not in the catalogue “{domain.label}”"
            raise SlimError(f"The next purchase “{held_out[:40]}” {where}. Leave it out.")
        self.seed = (secrets.randbelow(2**31) if seed is None else seed) if blind else None
        order = random.Random(self.seed).sample(range(len(sides)), len(sides)) if blind else range(len(sides))
        self._tracks = [_Track(key, sides[n]) for key, n in zip(KEYS, order, strict=False)]
        self._about = (history, domain, encoder, ranker, held_out, check_k(k))
        self._history, self._blind, self._id = history, blind, uuid.uuid4().hex

    def stop(self, key: str | None = None) -> None:
        """End one side, or all of them; may be called from any thread. What was written stays."""
        for track in self._tracks:
            if key in (None, track.key):
                track.stop.set()

    def states(self) -> Iterator[CompareState]:
        """Yield whole states up to `done`; closing the iterator stops all sides. Raises no SlimError."""
        threads = [
            threading.Thread(target=self._write_all, args=(tracks,), daemon=True, name="slim-compare")
            for tracks in _by_engine(self._tracks)
        ]
        state, drawn = CompareState(self._id, (), blind=self._blind, seed=self.seed), 0.0
        try:
            for thread in threads:
                thread.start()
            while True:
                ended = not any(thread.is_alive() for thread in threads)  # asked first: then all text is in
                sides = tuple(track.state() for track in self._tracks)
                if sides != state.sides or time.monotonic() - drawn >= HEARTBEAT:
                    state, drawn = replace(state, sides=sides), time.monotonic()
                    yield state
                if ended:
                    break
                next(thread for thread in threads if thread.is_alive() or thread is threads[-1]).join(REDRAW)
        finally:
            self.stop()
            limit = time.monotonic() + PATIENCE
            for thread in threads:
                if thread.ident is not None:
                    thread.join(max(0.0, limit - time.monotonic()))
        try:
            state = replace(state, status="done", comparison=summarise(state.sides, *self._about))
        except SlimError as failure:  # e.g. the encoder's weights are missing: the texts must not be lost
            state = replace(state, status="done", error=str(failure))
        yield state

    def _write_all(self, tracks: Sequence[_Track]) -> None:
        for track in tracks:
            track.write(self._history)


class _Track:
    """One side while it runs: written by its thread, read by the generator's."""

    def __init__(self, key: str, side: Side) -> None:
        self.key, self.side = key, side
        self.stop = threading.Event()
        self._stats = RunStats()
        self._text = self._notice = self._error = ""
        self._status = "waiting"
        self._cut = False
        self._read: tuple[tuple[str, str], Rationale] = (("", ""), Rationale())

    def write(self, history: Sequence[Item]) -> None:
        """Run the reasoner to its end, its failure or its stop."""
        if self.stop.is_set():
            self._status = "stopped"
            return
        self._status, status, deltas = "running", "finished", None
        try:
            read = len(self.side.reasoner.read(history))
            if read < len(shown(history)):
                self._notice = f"Only the newest {read} purchases fit into this model’s context."
            deltas = self.side.reasoner.stream(history, self._stats)
            for delta in deltas:
                self._text += delta
                if self.stop.is_set():
                    status = "stopped"
                    break
        except SlimError as failure:
            status, self._error = "failed", str(failure)
        except Exception:  # one side's fault must not end the others
            log.exception("comparing %s", self.side.reasoner.info.name)
            status = "failed"
            self._error = f"{self.side.reasoner.info.name} failed (details are in the app’s log). Run it again."
        finally:
            if deltas is not None:
                deltas.close()
        if status == "finished" and not any(parse(self._text).segments()):
            status = "failed"
            self._error = f"{self.side.reasoner.info.name} wrote nothing that could be read. Run it again."
        self._cut = status != "finished" or self._stats.finish_reason == "length"
        self._status = status

    def state(self) -> SideState:
        """Now."""
        status, text = self._status, self._text  # the status first: an ended one has all its text
        if status == "waiting" and self.stop.is_set():
            status = "stopped"
        if self._read[0] != (status, text):
            ended = status in ENDED
            self._read = (status, text), parse(text, finished=ended, cut=ended and self._cut)
        side = self.side
        return SideState(
            self.key, side.writer, side.kind, side.reasoner.info, status, text, self._read[1], replace(self._stats),
            self._error if status == "failed" else "", self._notice, side.price, side.visitors,
        )  # fmt: skip


def _by_engine(tracks: Sequence[_Track]) -> list[list[_Track]]:
    """Groups that may write at the same time; within one they share `reasoner.engine` and take turns."""
    groups: dict[int, list[_Track]] = {}
    for track in tracks:
        groups.setdefault(id(getattr(track.side.reasoner, "engine", track)), []).append(track)
    return list(groups.values())
