"""Which purchase mattered most, and does their order matter: the model writes again for each varied history."""

from __future__ import annotations

import itertools
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.pipeline import REDRAW
from slim_app.ranks import Board, Shift
from slim_app.rationale import parse
from slim_app.reasoners.base import Reasoner
from slim_app.recommenders.rank import check_k
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Item, Rationale, RunStats, shown

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

MAX_ORDERS = 20
Items = tuple[Item, ...]


@dataclass(frozen=True)
class Effect:
    """What one varied history does to the list of the unvaried one."""

    label: str
    """The title that was left out, or the order's number."""
    history: Items
    rationale: Rationale
    left: int
    """How many of the first k are no longer among them."""
    lost: float
    """1 - Σ_i 1/log2(1 + r_i) / Σ_{r=1..k} 1/log2(1 + r), over the old list's k items i at their new ranks r_i: one
    minus the new list's NDCG with the old list as relevant. 0 = they still fill the first k places."""
    shifts: tuple[Shift, ...]
    """The old list's items, in its order, at their old and new ranks."""
    row: int = -1
    """Row of the purchase that was left out, in `Study.history`; -1 for an order."""


@dataclass(frozen=True)
class Study:
    """A running result: each state is whole."""

    status: str
    """`writing`, `done`, `stopped` or `failed`."""
    done: int
    total: int
    """Texts written so far, and in all."""
    history: Items
    """The purchases that are varied: the newest that the model reads."""
    effects: tuple[Effect, ...] = ()
    """Strongest first: by `left`, then by `lost`."""
    text: str = ""
    """What is being written."""
    label: str = ""
    """What it is about."""
    skipped: tuple[str, ...] = ()
    """Labels of texts that could not be read."""
    error: str = ""
    seconds: float = 0.0
    seed: int | None = None
    """Of the orders; a leave-one-out has none."""

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the texts so far; None before the first."""
        return self.seconds / self.done * (self.total - self.done) if self.done else None

    @property
    def mean_lost(self) -> float:
        """Over the effects so far. Of the orders: what a purchase must exceed to matter more than mere reordering."""
        return sum(e.lost for e in self.effects) / len(self.effects) if self.effects else 0.0

    def as_dict(self) -> dict[str, Any]:
        effects = [
            {"label": e.label, "row": e.row, "left": e.left, "lost": round(e.lost, 4), "titles": _titles(e.history),
             "rationale": e.rationale.as_dict(), "shifts": [s.as_dict() for s in e.shifts]} for e in self.effects
        ]  # fmt: skip
        return {
            "status": self.status, "error": self.error, "done": self.done, "total": self.total, "seed": self.seed,
            "history": _titles(self.history), "effects": effects, "mean_lost": round(self.mean_lost, 4),
            "skipped": list(self.skipped), "seconds": round(self.seconds, 2),
        }  # fmt: skip


def leave_one_out(
    history: Sequence[Item], base: Rationale | None, domain: Domain, reasoner: Reasoner | None,
    ranker: Ranker | TrainedRanker, encoder: TextEncoder, k: int, stop: threading.Event | None = None,
) -> Iterator[Study]:  # fmt: skip
    """Leave out each purchase that the model reads in turn, write again, rank again. Bought items stay left out.

    Args:
        base: what this reasoner wrote for the whole history; None writes it first.
        reasoner: None for a ranker that reads no rationale.
        stop: set from another thread to end early with what is known by then.

    Raises:
        SlimError: fewer than two purchases, or a bad k. Failures of the writer come as a state.
    """
    read = tuple(reasoner.read(history) if reasoner else shown(history))
    if len(read) < 2:
        raise SlimError("Leaving one out needs at least two purchases. Add another one.")
    varied = [(item.title, (*read[:row], *read[row + 1 :]), row) for row, item in enumerate(read)]
    yield from _study(varied, read, history, base, domain, reasoner, ranker, encoder, check_k(k), stop, None)


def order_shuffle(
    history: Sequence[Item], base: Rationale | None, domain: Domain, reasoner: Reasoner | None,
    ranker: Ranker | TrainedRanker, encoder: TextEncoder, k: int, orders: int = 5, seed: int = 0,
    stop: threading.Event | None = None,
) -> Iterator[Study]:  # fmt: skip
    """The same purchases in other orders, drawn with a fixed seed: how much the list owes to the order alone.

    Args: as `leave_one_out`.
        orders: how many; fewer where there are not so many.

    Raises:
        SlimError: no other order exists, a bad k, number of orders or seed.
    """
    read = tuple(reasoner.read(history) if reasoner else shown(history))
    if isinstance(orders, bool) or not isinstance(orders, int) or not 1 <= orders <= MAX_ORDERS:
        raise SlimError(f"The number of orders is a whole number from 1 to {MAX_ORDERS}.")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise SlimError(f"The seed of the orders is a whole number, not “{str(seed)[:20]}”.")
    found = other_orders(read, orders, seed)
    if not found:
        raise SlimError("There is no other order of these purchases. Add a different one.")
    varied = [(f"order {number}", order, -1) for number, order in enumerate(found, start=1)]
    yield from _study(varied, read, history, base, domain, reasoner, ranker, encoder, check_k(k), stop, seed)


def other_orders(items: Items, count: int, seed: int) -> list[Items]:
    """Up to `count` different orders, none of them the given one; the same for the same seed."""
    generator = random.Random(seed)
    if math.factorial(min(len(items), 6)) <= 120:  # few enough to draw from all of them
        every = [order for order in dict.fromkeys(itertools.permutations(items)) if order != items]
        return generator.sample(every, min(count, len(every)))
    found: dict[Items, None] = {}
    for _ in range(50 * count):  # bounded: equal purchases may leave few orders
        order = tuple(generator.sample(items, len(items)))
        if order != items:
            found[order] = None
        if len(found) == count:
            break
    return list(found)


def lost(ranks: Sequence[int]) -> float:
    """`Effect.lost` of the new ranks of an old list of this length."""
    if not ranks:
        return 0.0  # everything was bought: there is no list to lose
    ideal = sum(1 / math.log2(1 + rank) for rank in range(1, len(ranks) + 1))
    return max(0.0, 1 - sum(1 / math.log2(1 + rank) for rank in ranks) / ideal)


def _study(varied, read, history, base, domain, reasoner, ranker, encoder, k, stop, seed) -> Iterator[Study]:
    stop, begun = stop or threading.Event(), time.perf_counter()
    reads_text = ranker.uses_rationale
    first = base is None and reads_text
    state = Study("writing", 0, len(varied) + first, read, label="" if first else varied[0][0], seed=seed)
    yield state

    def write(about: Items) -> Iterator[Study]:
        """Yields states while the model writes; returns the rationale, or None when stopped."""
        if not reads_text:
            return Rationale()
        stats, text, drawn = RunStats(), "", 0.0
        deltas = reasoner.stream(about, stats)
        try:
            for delta in deltas:
                text += delta
                if stop.is_set():
                    return None
                if (now := time.perf_counter()) - drawn >= REDRAW:
                    drawn = now
                    yield replace(state, text=text, seconds=now - begun)
        finally:
            deltas.close()  # also when the page is gone: the engine must not write on
        return parse(text, cut=stats.finish_reason == "length")

    try:
        if first:
            base = yield from write(read)
            if base is not None and not any(base.segments()):
                raise SlimError(f"{reasoner.info.name} wrote nothing that could be read. Run it again.")
            state = replace(state, done=1)
        for label, about, row in varied if base is not None or not reads_text else ():
            state = replace(state, label=label, text="", seconds=time.perf_counter() - begun)
            rationale = yield from write(about)
            if rationale is None or stop.is_set():
                break
            if reads_text and not any(rationale.segments()):
                state = replace(state, skipped=(*state.skipped, label))
            else:
                effect = _effect(label, about, row, rationale, read, history, base, domain, ranker, encoder, k)
                effects = sorted((*state.effects, effect), key=lambda e: (-e.left, -e.lost))
                state = replace(state, effects=tuple(effects))
            state = replace(state, done=state.done + 1, seconds=time.perf_counter() - begun)
            yield state
    except SlimError as error:
        state = replace(state, status="failed", error=str(error))
    status = state.status if state.error else "stopped" if state.done < state.total else "done"
    yield replace(state, status=status, text="", label="", seconds=time.perf_counter() - begun)


def _effect(label, about, row, rationale, read, history, base, domain, ranker, encoder, k) -> Effect:
    told = [(read, base or Rationale()), (about, rationale)]
    board = Board(domain, ranker, encoder, history, told)
    before, after = (board.ranks(board.scores(*pair)) for pair in told)
    top: np.ndarray = board.top(before, k)
    ranks = [int(after[column]) for column in top]
    shifts = tuple(board.shift(column, before, after) for column in top)
    return Effect(label, about, rationale, sum(rank > len(top) for rank in ranks), lost(ranks), shifts, row)


def _titles(history: Sequence[Item]) -> list[str]:
    return [item.title for item in history]
