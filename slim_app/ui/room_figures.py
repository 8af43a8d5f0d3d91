"""The figures of the evaluation room, in their order."""

from __future__ import annotations

from slim_app.results import Result
from slim_app.ui.room_accuracy import accuracy, sparsity, steps
from slim_app.ui.room_figure import Figure, Missing, Options
from slim_app.ui.room_lists import novelty, popularity
from slim_app.ui.room_writers import cost, differences, quality, worth

BUILDERS = {
    "accuracy": accuracy, "steps": steps, "sparsity": sparsity, "popularity": popularity, "novelty": novelty,
    "cost": cost, "quality": quality, "worth": worth, "differences": differences,
}  # fmt: skip


def draw(name: str, result: Result, options: Options) -> Figure | Missing:
    """The figure of this name."""
    return BUILDERS[name](result, options)
