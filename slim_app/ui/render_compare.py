"""A comparison → HTML: who writes, and three rows of steps side by side. Every text of others passes `esc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slim_app.compare_state import ENDED, CompareState, SideState
from slim_app.schema import Item, Mention
from slim_app.text_diff import Piece, diff_steps
from slim_app.ui import words
from slim_app.ui import words_compare as said
from slim_app.ui.escape import bdi, esc
from slim_app.ui.render_rationale import ENTRIES, caret, mark, marked

HUES = {"teacher": "teacher", "recorded": "teacher", "student": "student", "free": "student", "base": "base"}
"""Writer → its hue and sign."""
Marks = Mapping[str, Sequence[Mention]]


def hue(side: SideState) -> str:
    """`teacher`, `student`, `base`, or `hidden` before a blind vote."""
    return HUES.get(side.writer, "hidden")


def badge(side: SideState, number: bool = True) -> str:
    """Letter, sign and name of a side."""
    kind = hue(side)
    sign = f'<i aria-hidden="true">{said.SIGNS[kind]}</i>'
    key = f'<b class="key">{side.key}</b>' if number else ""
    return f'<span class="writer w-{kind}">{key}{sign}{bdi(side.name)}</span>'


def heads(state: CompareState | None) -> str:
    """Who writes on each side, how far it is, why it failed, and the button that stops it."""
    if state is None:
        return ""
    return f'<div class="duel n{len(state.sides)} heads">{"".join(map(_head, state.sides))}</div>'


def _head(side: SideState) -> str:
    name, off = said.STOP_SIDE.format(key=side.key), " disabled" if side.status in ENDED else ""
    act = f'data-act="stop" data-id="{side.key}"'
    stop = f'<button type="button" {act} aria-label="{name}"{off}>{said.STOP_ONE}</button>'  # keeps its place
    error = f'<p class="error" role="alert">{esc(side.error)}</p>' if side.error else ""
    notes = "".join(f'<p class="fine">{esc(note)}</p>' for note in (side.notice, side.model.note) if note)
    return (
        f'<section class="head w-{hue(side)}" aria-label="{side.key}: {esc(side.name)}"><h3>{badge(side)}'
        f'<span class="state {side.status}" role="status">{said.STATUSES[side.status]}</span>{stop}</h3>'
        f'<p class="fine">{esc(_line(side))}</p>{error}{notes}</section>'
    )


def _line(side: SideState) -> str:
    """What kind of writer it is; a teacher is used as it is, so it is not called untuned."""
    if side.kind in ("hidden", "recorded"):
        return said.LINES[side.kind]
    parts = [said.TUNED if side.model.tuned else said.LINES["untuned"] if side.kind == "untuned" else ""]
    parts.append(said.LIVE_ON.format(device=side.model.device) if side.model.device else said.LINES["live"])
    parts.append(said.VISITORS if side.visitors else "")
    return " · ".join(filter(None, parts))


def steps(state: CompareState | None, marks: Mapping[str, Marks] | None = None, diff: bool = False) -> str:
    """The three steps, one row each, the sides beside each other; on a phone below each other within a step.

    `marks`: side → segment key → what became of the names in it. `diff`: the other texts word by word against A's,
    once all have ended.
    """
    rows = []
    compared: dict[str, dict[int, tuple[Piece, ...]]] = {}
    ended = state is not None and all(side.status in ENDED for side in state.sides)
    if state and diff and ended:
        compared = {side.key: diff_steps(state.sides[0].rationale, side.rationale) for side in state.sides[1:]}
    for step, (title, hint) in words.STEPS.items():
        if state is None:
            cells = f'<p class="empty">{said.EMPTY_STEP if step == 1 else words.EMPTY_STEP[step]}</p>'
        else:
            cells = "".join(
                _cell(side, step, (marks or {}).get(side.key, {}), compared.get(side.key)) for side in state.sides
            )
        number = f'<span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
        count = len(state.sides) if state else 1
        rows.append(
            f'<section class="step card s{step}" aria-label="{title}"><h3>{number}{title}'
            f'<span class="hint">{hint}</span></h3><div class="duel n{count}">{cells}</div></section>'
        )
    note = ""
    if state and diff:
        note = f'<p class="fine">{said.DIFF_HINT if ended else said.DIFF_LATER}</p>'
    busy = "false" if state is None or ended else "true"
    return f'{note}<div class="steps" role="group" aria-busy="{busy}">{"".join(rows)}</div>'


def _cell(side: SideState, step: int, marks: Marks, compared: Mapping[int, Sequence[Piece]] | None) -> str:
    entries = getattr(side.rationale, f"step{step}")
    if compared is not None:
        body = f'<p class="diff">{"".join(map(_piece, compared[step]))}</p>' if compared[step] else ""
    elif step == 1:
        body = " ".join(_sentence(text, f"1.{n}", side, marks) for n, text in enumerate(entries, start=1))
        body = f"<p>{body}</p>" if entries else ""
    else:
        rows = "".join(_entry(text, f"{step}.{n}", side, marks) for n, text in enumerate(entries, start=1))
        body = f"<ol>{rows}</ol>" if entries else ""
    if side.status not in ENDED and step > 1:  # the frame keeps its height: nothing jumps while text streams
        body += '<div class="bone" aria-hidden="true"></div>' * max(0, ENTRIES - len(entries))
    elif side.status in ENDED and not body:
        body = f'<p class="empty">{said.NOTHING}</p>'
    label = f"{side.key}: {esc(side.name)}"
    return f'<div class="cell w-{hue(side)}" role="group" aria-label="{label}">{badge(side)}{body}</div>'


def _sentence(text: str, key: str, side: SideState, marks: Marks) -> str:
    return f'<span class="seg">{marked(text, marks.get(key, ()))}{caret(key, side.rationale.open)}</span>'


def _entry(text: str, key: str, side: SideState, marks: Marks) -> str:
    found = "".join(map(mark, marks.get(key, ())))
    return f'<li class="seg"><span class="said">{bdi(text)}{caret(key, side.rationale.open)}</span>{found}</li>'


def _piece(piece: Piece) -> str:
    operation, text = piece
    shown = esc(text).replace("\n", "<br>")
    if operation == "delete":
        return f'<del><span class="for-ears">{said.ONLY_IN_A} </span>{shown}</del>'
    return f'<ins><span class="for-ears">{said.ONLY_HERE} </span>{shown}</ins>' if operation == "insert" else shown


def lists(state: CompareState | None) -> str:
    """The first products of each side's list; those that all have are marked."""
    if state is None or state.comparison is None:
        return ""
    tops = [{rec.id for rec in summary.top} for summary in state.comparison.sides]
    shared = set.intersection(*tops)
    cells = []
    for side, summary in zip(state.sides, state.comparison.sides, strict=True):
        rows = "".join(
            f'<li><span class="rank">{rec.rank}</span><span>{bdi(rec.title)}'
            + (f' <span class="tag">{said.ALL}</span>' if rec.id in shared else "")
            + "</span></li>"
            for rec in summary.top
        )
        body = f"<ol>{rows}</ol>" if rows else f'<p class="empty">{said.NOTHING}</p>'
        cells.append(f'<div class="cell w-{hue(side)}" role="group" aria-label="{side.key}">{badge(side)}{body}</div>')
    title = said.LISTS.format(k=state.comparison.k)
    return f'<section class="tops"><h3>{title}</h3><div class="duel n{len(cells)}">{"".join(cells)}</div></section>'


def purchases(items: Sequence[Item]) -> str:
    """The history as a folded list."""
    if not items:
        return f'<p class="empty">{said.NO_HISTORY}</p>'
    rows = "".join(f"<li>{bdi(item.title)}</li>" for item in items)
    return f"<details><summary>{said.PURCHASES.format(count=len(items))}</summary><ol>{rows}</ol></details>"
