"""Rows of bars with whiskers and, where it has them, the paper's diamonds: what most figures of the room are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from slim_app.result_schema import Evaluation, Run
from slim_app.ui import words_room as said
from slim_app.ui.room_figure import (
    HUES,
    ROW,
    filling,
    layout,
    number,
    plain,
    row_axis,
    value_axis,
    values_beside,
    whiskers,
)  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """One row. `gap`: a new group of rows begins here."""

    label: str
    kind: str
    value: float
    sd: float | None = None
    paper: float | None = None
    paper_sd: float | None = None
    gap: bool = False


def kind_of(run: Run) -> str:
    """Whose reasoning a run reads: none, student, teacher."""
    if run.rationales is None:
        return "none"
    return run.rationales.writer if run.rationales.writer in ("teacher", "student") else "other"


def label_of(name: str, run: Run) -> str:
    """A run in a stakeholder's words; its own name where it is of another kind."""
    backbone = said.BACKBONES.get(run.backbone, run.backbone)
    if run.variant == "baseline":
        return said.BASELINES.get(name, name)
    if run.variant == "text":
        label = said.TEXT.get(run.ranker, name)
    elif run.variant in said.VARIANTS:
        spectral = run.variant == "id" and run.start == "purchases"
        label = said.VARIANTS["spectral" if spectral else run.variant].replace("{backbone}", backbone)
    else:
        return name
    if len(run.steps) == 1 and run.rationales:
        label = said.ONLY_STEP.replace("{label}", label).replace("{step}", said.STEP.get(run.steps[0], "?")[:1])
    return said.BY_TEACHER.replace("{label}", label) if kind_of(run) == "teacher" else label


def labels_of(evaluation: Evaluation) -> dict[str, str]:
    """Run name → label; two runs of one label are told apart by their names."""
    labels = {name: label_of(name, run) for name, run in evaluation.runs.items()}
    often = list(labels.values())
    return {name: f"{label} · {name}" if often.count(label) > 1 else label for name, label in labels.items()}


def ordered(evaluation: Evaluation) -> list[tuple[str, Run, bool]]:
    """Runs that read all steps: nothing trained, text alone, then one backbone after the other; True begins a group."""
    runs = {name: run for name, run in evaluation.runs.items() if not _one_step(run)}
    groups: dict[tuple[int, str], list[str]] = {}
    for name, run in runs.items():
        first = {"baseline": 0, "text": 1}.get(run.variant, 2)
        groups.setdefault((first, run.backbone if first == 2 else ""), []).append(name)
    found = []
    for place, key in enumerate(sorted(groups, key=lambda key: key[0])):
        found += [(name, runs[name], place > 0 and n == 0) for n, name in enumerate(groups[key])]
    return found


def _one_step(run: Run) -> bool:
    return run.rationales is not None and len(run.steps) == 1


def bars(rows: Sequence[Bar], digits: int = 2) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(traces, layout); each point's customdata is its row."""
    places, place = [], -1.0
    for row in rows:
        place += 1.5 if row.gap else 1
        places.append(place)
    kinds = list(dict.fromkeys(row.kind for row in rows))
    traces: list[dict[str, Any]] = []
    for kind in kinds:
        own = [n for n, row in enumerate(rows) if row.kind == kind]
        traces.append({
            "type": "bar", "orientation": "h", "name": said.KINDS[kind], "y": [places[n] for n in own],
            "x": [rows[n].value for n in own], "customdata": own, "width": 0.66,
            "marker": filling([kind] * len(own)),
            "error_x": whiskers([rows[n].sd for n in own]), "hoverinfo": "text",
            "hovertext": [_hover(rows[n], digits) for n in own],
        })  # fmt: skip
    theirs = [n for n, row in enumerate(rows) if row.paper is not None]
    if theirs:
        traces.append({
            "type": "scatter", "mode": "markers", "name": said.PAPER, "x": [rows[n].paper for n in theirs],
            "y": [places[n] for n in theirs], "customdata": theirs, "hoverinfo": "text",
            "hovertext": [_hover(rows[n], digits) for n in theirs],
            "marker": {"symbol": "diamond-open", "size": 10, "color": HUES["paper"], "line": {"width": 2.5}},
            "error_x": {**whiskers([rows[n].paper_sd for n in theirs]), "color": HUES["paper"]},
        })  # fmt: skip
    several = len(traces) > 1
    height = int(ROW * (places[-1] + 1 if places else 1)) + 52 + 52 * several
    look = layout(height, top=52 if several else 8) | {"showlegend": several}
    look["xaxis"] = value_axis(nticks=4)  # more would run into each other on a phone
    look["yaxis"] = row_axis([row.label for row in rows], places)
    look["annotations"] = values_beside([number(row.value, digits=_beside(digits)) for row in rows], places)
    return traces, look


def _beside(digits: int) -> int:
    return 1 if digits == 2 else digits


def _hover(row: Bar, digits: int) -> str:
    text = f"{plain(row.label)}: {number(row.value, row.sd, digits)}"
    return text if row.paper is None else f"{text}<br>{said.PAPER}: {number(row.paper, row.paper_sd, digits)}"
