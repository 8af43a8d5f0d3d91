"""What the evaluation room answers: figures for a choice, and what is behind one of their bars."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from slim_app.errors import SlimError
from slim_app.result_schema import MEASURES
from slim_app.results import Result, load_results
from slim_app.ui import render_room
from slim_app.ui import words_room as said
from slim_app.ui.room_accuracy import headline
from slim_app.ui.room_bars import labels_of
from slim_app.ui.room_behind import behind
from slim_app.ui.room_figure import Figure, Options
from slim_app.ui.room_figures import draw

AFFECTED = {
    "measure": ("accuracy", "steps", "sparsity", "worth"),
    "where": ("accuracy", "steps", "sparsity", "novelty", "worth"),
    "novelty": ("novelty",),
    "shown": ("sparsity", "popularity"),
}
"""Choice → the figures that it changes; all others stay as they are."""


class Room:
    """Holds the evaluations of one folder, read again when its files have changed; nothing of any visitor."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stamp: tuple[Any, ...] | None = None
        self._found: tuple[list[Result], list[SlimError]] = ([], [])

    def load(self) -> tuple[list[Result], list[SlimError]]:
        """The evaluations, and what is wrong with files that cannot be read."""
        stamp = tuple(map(_stamp, sorted(self.folder.glob("*.json"))))
        if stamp != self._stamp:
            self._found, self._stamp = load_results(self.folder), stamp
        return self._found

    def result(self, key: str | None) -> Result | None:
        """The evaluation of this key, else the first; None where there is none at all."""
        results, _ = self.load()
        return next((one for one in results if one.key == key), results[0] if results else None)

    def figures(self, key: str | None, options: Options, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Figure name → its `head`, `plot` (plotly's JSON, None where there is nothing to draw) and `below`."""
        result = self.result(key)
        if result is None:
            return {name: {"head": "", "plot": None, "below": ""} for name in names}
        found = {}
        for name in names:
            figure = draw(name, result, options)
            plot = json.dumps(figure.as_plotly(), allow_nan=False) if isinstance(figure, Figure) else None
            found[name] = {"head": render_room.head(figure), "plot": plot,
                           "below": render_room.below(figure, result.key)}  # fmt: skip
        return found

    def look_behind(self, key: str | None, options: Options, name: str, row: object) -> str | None:
        """The place below a figure after a click on a row; None where there is no such row."""
        result = self.result(key)
        figure = draw(name, result, options) if result else None
        if not isinstance(figure, Figure):
            return None
        text = str(row)
        place = int(text) if text.isdecimal() and len(text) < 7 else None
        if place is None:
            return render_room.below(figure, result.key)
        if place >= len(figure.rows):
            return None
        return render_room.below(figure, result.key, behind(result, figure, place, options))

    def shown(self, key: str | None) -> tuple[list[tuple[str, str]], list[str]]:
        """((label, name) of all runs, those that the line charts show at first)."""
        result = self.result(key)
        if result is None or result.evaluation is None:
            return [], []
        labels = labels_of(result.evaluation)
        return [(label, name) for name, label in labels.items()], headline(result.evaluation)


def _stamp(file: Path) -> tuple[Any, ...]:
    """What changes with a file; a link to nowhere has one, too: reading it gives the sentence."""
    try:
        found = file.stat()
    except OSError:
        return (file.name,)
    return file.name, found.st_mtime_ns, found.st_size


def options_of(measure: str, where: str, novelty: str, shown: list[str] | None) -> Options:
    """The visitor's choices; what is none of those offered is the first of them."""
    return Options(
        measure if measure in MEASURES else MEASURES[0], where if where in said.WHERE else "101",
        novelty if novelty in said.NOVELTY else "efd@10", tuple(shown or ()),
    )  # fmt: skip
