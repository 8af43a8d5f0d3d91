"""What if the history were another one: the new rationale and list beside the old, and the bump chart."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.pipeline import explain
from slim_app.ranks import Board, Told
from slim_app.reasoners.base import Reasoner
from slim_app.recommenders.rank import check_k
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Item, Rationale, State

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

BEFORE, AFTER = "before", "after"
RUNNING = ("reading", "writing")


@dataclass(frozen=True)
class BumpLine:
    """One product's rank under each label."""

    id: str
    title: str
    ranks: tuple[int | None, ...]
    """1-based, over the whole catalogue; None where it had been bought."""


@dataclass(frozen=True)
class Bump:
    """Data of a bump chart: the products of every label's first k, and their ranks under all labels."""

    labels: tuple[str, ...]
    k: int
    lines: tuple[BumpLine, ...]
    """By rank under the last label, products bought there last."""
    ranks_are_floors: bool = False
    """True in a catalogue that is searched approximately."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def bump(told: dict[str, Told], domain: Domain, ranker: Ranker | TrainedRanker, encoder: TextEncoder, k: int) -> Bump:
    """Rank the catalogue for each label's history and rationale; each leaves out what its own history holds.

    Raises:
        SlimError: a bad k, or nothing to rank by.
    """
    k = check_k(k)
    columns: list[np.ndarray] = []
    seen: set[int] = set()
    board = Board(domain, ranker, encoder, (), list(told.values()))
    for history, rationale in told.values():
        board.leave_out(history)
        ranks = board.ranks(board.scores(history, rationale))
        seen |= set(board.top(ranks, k).tolist())
        columns.append(ranks)
    lines = []
    for column in sorted(seen, key=lambda c: (columns[-1][c] == 0, columns[-1][c], columns[0][c])):
        item = board.item(column)
        ranks = tuple(int(column_ranks[column]) or None for column_ranks in columns)
        lines.append(BumpLine(item.id, item.title, ranks))
    return Bump(tuple(told), k, tuple(lines), board.approximate)


@dataclass(frozen=True)
class WhatIf:
    """One moment of a what-if: the new history's state, and the bump chart as soon as there is a new list."""

    state: State
    """Its status is `waiting` as long as the old text is being written."""
    old: Rationale
    bump: Bump | None = None

    def as_dict(self) -> dict[str, Any]:
        """The JSON object of `/what_if`."""
        chart = self.bump.as_dict() if self.bump else None
        return {"old_rationale": self.old.as_dict(), "new": self.state.as_dict(), "bump": chart}


def what_if(
    before: tuple[Sequence[Item], Rationale | None],
    history: Sequence[Item],
    domain: Domain,
    reasoner: Reasoner | None,
    ranker: Ranker | TrainedRanker,
    encoder: TextEncoder,
    k: int,
    stop: threading.Event | None = None,
) -> Iterator[WhatIf]:
    """Write about the new history as a normal run does, and compare with what was before.

    Args:
        before: the old history and its rationale; None where there is none yet: then the reasoner writes it first.
            A ranker that reads no rationale needs none.
        history: the new one.

    Raises:
        SlimError: before anything is written, for an empty history, one that has not changed, or a bad k.
    """
    bought, old = before
    if list(bought) == list(history):
        raise SlimError("The history has not changed. Remove, add or move a purchase first.")
    states = explain(history, domain, reasoner, ranker, encoder, k, stop)
    start = next(states)  # refuses what cannot be explained, before anything is written
    if not ranker.uses_rationale:
        old = Rationale()
    elif old is None:
        waiting = replace(start, status="waiting")
        for written in explain(bought, domain, reasoner, ranker, encoder, k, stop):
            old = written.rationale
            if written.status in RUNNING:
                yield WhatIf(waiting, old)
        if written.status != "done":
            yield WhatIf(replace(waiting, status=written.status, error=written.error), old)
            return
    for state in itertools.chain([start], states):
        if state.status in RUNNING:
            yield WhatIf(state, old)
    if state.recommendations:
        chart = bump({BEFORE: (bought, old), AFTER: (history, state.rationale)}, domain, ranker, encoder, k)
        yield WhatIf(state, old, chart)
    else:
        yield WhatIf(state, old)
