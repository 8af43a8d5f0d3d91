"""What a comparison shows at one moment: its sides, before and after a blind vote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from slim_app.comparison import Comparison, Summary
from slim_app.prices import MachinePrice, Price
from slim_app.reasoners.base import Reasoner
from slim_app.schema import Item, ModelInfo, Rationale, RunStats, Shopper

ENDED = frozenset(("finished", "failed", "stopped"))


@dataclass(frozen=True)
class Side:
    """One writer that takes part.

    Args:
        writer: its id among the app's writers: `teacher`, `recorded`, `student`, `free`, `base`.
        price: what its tokens or its machine's hours cost; None where that is not known.
        visitors: a visitor named its server, so its name is that visitor's claim.
    """

    reasoner: Reasoner
    writer: str = ""
    price: Price | MachinePrice | None = None
    visitors: bool = False

    @property
    def kind(self) -> str:
        """`recorded`, `live` or `untuned`; a teacher is used as it is, which is no lack."""
        info = self.reasoner.info
        if info.kind == "recorded":
            return "recorded"
        return "live" if info.tuned or self.writer == "teacher" else "untuned"


@dataclass(frozen=True)
class SideState:
    """One side at one moment."""

    key: str
    """A, B, C from left to right."""
    writer: str
    kind: str
    """`live`, `recorded` or `untuned`; `hidden` in a blind comparison before the vote."""
    model: ModelInfo
    status: str = "waiting"
    """`waiting` (for an engine that another side uses), `running`, `finished`, `failed` or `stopped`."""
    text: str = ""
    rationale: Rationale = field(default_factory=Rationale)
    stats: RunStats = field(default_factory=RunStats)
    error: str = ""
    notice: str = ""
    price: Price | MachinePrice | None = None
    visitors: bool = False

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def measured(self) -> bool:
        """False for a replay: its pace is made up."""
        return self.model.kind == "live"


@dataclass(frozen=True)
class CompareState:
    """All sides at one moment; the last one holds the comparison."""

    id: str
    """Names this run, so that one vote is counted for it."""
    sides: tuple[SideState, ...]
    status: str = "running"
    """`running` or `done`."""
    comparison: Comparison | None = None
    error: str = ""
    """Why the comparison could not be made although the sides have ended."""
    blind: bool = False
    seed: int | None = None
    """Of the order of the sides in a blind comparison."""

    def masked(self) -> CompareState:
        """What may be shown before the vote: nothing that tells the writers apart but what they wrote.

        Speed, cost and the words of an error would; so would the seed.
        """
        sides = tuple(_masked_side(side) for side in self.sides)
        comparison = self.comparison and replace(self.comparison, sides=tuple(map(_masked, self.comparison.sides)))
        return replace(self, sides=sides, comparison=comparison, seed=None)

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it. Of a blind comparison before the vote, only `masked().as_dict()` may leave the server."""
        sides = [
            {
                "key": side.key, "writer": side.writer, "kind": side.kind, "model": asdict(side.model),
                "status": side.status, "error": side.error, "notice": side.notice,
                "price_source": side.price.source if side.price else None,
                "rationale": side.rationale.as_dict(), "stats": side.stats.as_dict() | {"measured": side.measured},
            }
            for side in self.sides
        ]  # fmt: skip
        comparison = self.comparison.as_dict() if self.comparison else None
        return {
            "id": self.id, "status": self.status, "error": self.error, "blind": self.blind, "seed": self.seed,
            "sides": sides, "comparison": comparison,
        }  # fmt: skip


def sample_of(shoppers: Sequence[Shopper], history: Sequence[Item]) -> Shopper | None:
    """The sample shopper whose purchases these are, unchanged; its `next` is then the held-out purchase."""
    ids = tuple(item.id for item in history)
    return next((shopper for shopper in shoppers if shopper.history == ids), None)


def _masked_side(side: SideState) -> SideState:
    model = ModelInfo(f"Writer {side.key}", kind="hidden")
    error = f"Writer {side.key} failed. The reason is shown after the vote." if side.error else ""
    return replace(
        side, writer="", kind="hidden", model=model, stats=RunStats(), error=error, notice="", price=None,
        visitors=False,
    )  # fmt: skip


def _masked(summary: Summary) -> Summary:
    return replace(
        summary, first_token_seconds=None, tokens_per_second=None, tokens=None, seconds=None, cost=None,
        cost_per_1000=None,
    )  # fmt: skip
