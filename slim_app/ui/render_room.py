"""The evaluation room → HTML: heads with explained terms, and below each figure its protocol, files and table."""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Sequence

from slim_app.errors import SlimError
from slim_app.export import safe_cell
from slim_app.results import Result
from slim_app.ui import render
from slim_app.ui import words_room as said
from slim_app.ui.escape import bdi, esc
from slim_app.ui.room_figure import Figure, Missing

MOST_ROWS = 250
"""Longer tables are left to the CSV."""


def intro() -> str:
    return f'<div class="beat"><h2>{said.INTRO_TITLE}</h2><p>{said.INTRO}</p></div>'


def message(errors: Sequence[SlimError], results: Sequence[Result]) -> str:
    """What could not be read, where the person looks for it."""
    found = "".join(render.error(error) for error in errors)
    return found if results else found + f'<p class="empty">{said.NO_RESULTS}</p>'


def choices(results: Sequence[Result]) -> list[tuple[str, str]]:
    """(label, key) of the evaluations."""
    found = []
    for result in results:
        common = result.evaluation is not None and result.evaluation.common_users
        name = said.PICKER_NAMES.get(result.dataset, result.dataset)
        template = said.PICKER_COMMON if common else said.PICKER
        found.append((template.replace("{users:,}", f"{result.users:,}").replace("{name}", name), result.key))
    labels = [label for label, _ in found]
    return [(f"{label} · {key}" if labels.count(label) > 1 else label, key) for label, key in found]


def explained(text: str) -> str:
    """`[[term]]` → a word with its explanation, shown on hover and on focus."""

    def term(match: re.Match[str]) -> str:
        tip = f'<span class="tip" role="tooltip">{said.TERMS[match[1]]}</span>'
        return f'<span class="term" tabindex="0">{match[1]}{tip}</span>'

    return re.sub(r"\[\[(.+?)\]\]", term, text)


def head(figure: Figure | Missing) -> str:
    """Title and explanation; of a figure without data, what writes them."""
    title, text = said.FIGURES[figure.name]
    if isinstance(figure, Missing):
        body = f'<p class="empty">{esc(figure.text)}</p>'
    else:
        body = f'<p class="room-said">{explained(text.format(**figure.words))}</p>'
    return f'<div class="beat"><h3>{title}</h3>{body}</div>'


def below(figure: Figure | Missing, key: str, behind: str = "") -> str:
    """What is behind the clicked bar, the protocol, the files (named after the evaluation's `key`) and the table."""
    if isinstance(figure, Missing):
        return ""
    caption = " ".join(esc(part) for part in figure.caption)
    shown = behind or f'<p class="fine">{said.BEHIND_EMPTY}</p>'
    return (
        f'<div class="room-below" data-file="{esc(_file(figure, key))}"><div class="room-behind" aria-live="polite">'
        f'{shown}</div><p class="fine room-caption">{caption}</p>{_exports(figure, key)}{_table(figure)}</div>'
    )


def _file(figure: Figure, key: str) -> str:
    return "slim-" + re.sub(r"[^A-Za-z0-9_-]+", "-", f"{key}-{figure.name}")


def _exports(figure: Figure, key: str) -> str:
    title = said.FIGURES[figure.name][0]
    label = said.SAVE_AS.replace("{title}", title)
    data = base64.b64encode(to_csv(figure).encode()).decode()
    buttons = "".join(
        f'<button type="button" class="link" data-save="{kind}" aria-label="{label.replace("{kind}", name)}">{name}'
        "</button>"
        for kind, name in said.EXPORTS.items()
        if kind != "csv"
    )
    return (
        f'<div class="row-end room-exports">{buttons}<a class="link" download="{esc(_file(figure, key))}.csv" '
        f'href="data:text/csv;charset=utf-8;base64,{data}" aria-label="{label.replace("{kind}", "CSV")}">'
        f"{said.EXPORTS['csv']}</a></div>"
    )


def to_csv(figure: Figure) -> str:
    """The rows of a figure; cells that a spreadsheet would run as formulas are quoted."""
    out = io.StringIO()
    table = csv.writer(out)
    table.writerow(figure.columns)
    table.writerows([safe_cell(cell) for cell in row] for row in figure.rows)
    return out.getvalue()


def _table(figure: Figure) -> str:
    """The same rows for eyes and ears, each with the way to what is behind it."""
    if len(figure.rows) > MOST_ROWS:
        return ""
    shown = [n for n, name in enumerate(figure.columns) if name != "label"]
    heads = "".join(f'<th scope="col">{esc(figure.columns[n].replace("_", " "))}</th>' for n in shown)
    rows = "".join(
        f'<tr><th scope="row"><button type="button" class="link" data-act="behind" data-row="{place}" '
        f'title="{said.TABLE_OPEN}">{bdi(subject.label)}</button></th>'
        f"{''.join(f'<td>{_cell(row[n])}</td>' for n in shown)}</tr>"
        for place, (row, subject) in enumerate(zip(figure.rows, figure.subjects, strict=True))
    )
    return (
        f'<details class="room-table"><summary>{said.TABLE}</summary><div class="room-scroll" tabindex="0">'
        f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _cell(value: object) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return esc(value)
