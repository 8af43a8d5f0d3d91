"""The rationale under edit, and the list that follows it, as HTML. Pure functions; texts of others pass `esc`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slim_app.ranks import Shift
from slim_app.rationale_edits import Edits, Part
from slim_app.schema import Mention, State
from slim_app.steering import Influence, Steered
from slim_app.ui import render, render_rationale
from slim_app.ui import words_steer as said
from slim_app.ui.escape import bdi, esc

NAMED = 3
"""Products named of those that a segment lifts, and of those that it sinks."""
Mentions = Mapping[tuple[int, str], Sequence[Mention]]
"""(step, text) of a segment → what it names."""


@dataclass(frozen=True)
class View:
    """What stands around the segments."""

    mentions: Mentions = field(default_factory=dict)
    influences: Sequence[Influence] | None = None
    """None while they are being counted."""
    line: str = said.HINT
    error: str = ""


def reasoning(state: State, edits: Edits, view: View) -> str:
    """The three cards with their controls, the line of undo and redo, and what stands below any text."""
    influences = {i.part.key: i for i in view.influences or ()}
    bodies, ends = {}, {}
    for step, label in said.ADD.items():
        parts = [part for part in edits.now if part.step == step]
        rows = "".join(_segment(p, view, influences.get(p.key)) for p in parts)
        bodies[step] = (f'<div class="sentences">{rows}</div>' if step == 1 else f"<ol>{rows}</ol>", len(parts))
        ends[step] = (
            f'<button type="button" class="add" data-act="add" data-step="{step}" title="{label}">'
            f'<span aria-hidden="true">+</span> {label}</button>'
        )
    return render_rationale.reasoning(state, render_rationale.frame(bodies, ends=ends) + bar(edits, view))


def bar(edits: Edits, view: View) -> str:
    """Count of edits, undo, redo, reset, and how fast the list followed. The words are the script's, too."""
    count = edit_count(edits)
    usable = {"undo": bool(edits.past), "redo": bool(edits.future), "reset": edits.edited}
    buttons = "".join(
        f'<button type="button" class="link" data-act="{act}"{"" if usable[act] else " disabled"}>{label}</button>'
        for act, label in said.HISTORY.items()
    )
    words = {"rewrite": said.REWRITE, "keys": said.KEYS, "touch": said.KEYS_TOUCH}
    words |= {f"add-{step}": label for step, label in said.ADD.items()}
    data = "".join(f' data-{name}="{esc(word)}"' for name, word in words.items())
    error = f'<span class="failed" role="alert">{esc(view.error)}</span>' if view.error else ""
    return (
        f'<div class="steer-bar"{data}>'
        f'<b class="count">{count}</b>{buttons}'
        f'<button type="button" class="link to-list" data-open="beat-3">{said.TO_LIST}</button>'
        f'<span class="line" role="status">{error or esc(view.line)}</span></div>'
    )


def edit_count(edits: Edits) -> str:
    """How many edits the text carries, in words."""
    count = sum(len(part.marks) for part in edits.now)
    return said.COUNT[min(count, 2)].format(count=count)


def _segment(part: Part, view: View, influence: Influence | None) -> str:
    tag, mentions = "div" if part.step == 1 else "li", view.mentions.get((part.step, part.text), ())
    struck = part.weight == 0
    if part.step == 1:
        text, marks = render_rationale.marked(part.text, () if struck else mentions), ""
    else:
        text, marks = bdi(part.text), "".join(map(render_rationale.mark, mentions))
    if struck:
        text, marks = f'<s>{text}</s><span class="for-ears"> ({said.STRUCK})</span>', ""
    kind = "seg struck" if struck else "seg"
    return (
        f'<{tag} class="{kind}" tabindex="0" data-seg="{esc(part.key)}" data-text="{esc(part.text)}">'
        f'<span class="said">{text}</span>{_edit_marks(part)}{marks}{_tools(part, view, influence)}</{tag}>'
    )


def _edit_marks(part: Part) -> str:
    """Small words behind a segment that is not as it was written."""
    out = ""
    for mark in part.marks:
        if mark in said.MARKS:
            was = f' title="{esc(said.WAS.format(text=part.original))}"' if part.original else ""
            out += f'<span class="edit-mark"{was}>{said.MARKS[mark]}</span>'
        elif mark == "weighted":
            word = said.WEIGHTS.get(part.weight) or said.OTHER_WEIGHT.format(weight=part.weight)
            out += f'<span class="edit-mark">{word}</span>'
    return out


def _tools(part: Part, view: View, influence: Influence | None) -> str:
    """Two small buttons beside a segment; the second opens the rest."""
    key, name = esc(part.key), esc(part.text)
    act, label = ("restore", said.RESTORE) if part.weight == 0 else ("strike", said.STRIKE)
    weights = "".join(
        f'<button type="button" data-act="weigh" data-key="{key}" data-weight="{weight:g}" '
        f'aria-pressed="{str(part.weight == weight).lower()}">{word}</button>'
        for weight, word in said.WEIGHTS.items()
    )
    return (
        f'<div class="tools"><button type="button" class="strike" data-act="{act}" data-key="{key}" '
        f'aria-label="{label}: {name}" title="{label}"></button>'
        f'<details class="more"><summary aria-label="{said.MORE}: {name}" title="{said.MORE}"></summary>'
        '<div class="menu"><div class="menu-row">'
        f'<button type="button" data-act="{act}" data-key="{key}">{label}</button>'
        f'<button type="button" data-act="rewrite" data-key="{key}">{said.REWRITE}</button></div>'
        f'<div class="menu-row weights" role="group" aria-label="{said.WEIGH}"><span>{said.WEIGH}</span>{weights}</div>'
        f"{_does(part, view, influence)}</div></details></div>"
    )


def _does(part: Part, view: View, influence: Influence | None) -> str:
    """What the segment lifted and what it sank."""
    if influence is None:
        body = f'<p class="fine">{said.COUNTING}</p>' if view.influences is None else ""
    elif influence.alone:
        body = f'<p class="fine">{said.ALONE}</p>'
    elif not influence.lifted and not influence.sank:
        body = f'<p class="fine">{said.NOTHING}</p>'
    else:
        body = _moved("up", "▲", said.LIFTS, influence.lifted) + _moved("down", "▼", said.SINKS, influence.sank)
    title = said.WOULD if part.weight == 0 else said.DOES
    return f'<div class="does"><h4 title="{said.DOES_HELP}">{title}</h4>{body}</div>' if body else ""


def _moved(kind: str, sign: str, word: str, shifts: Sequence[Shift]) -> str:
    rows = "".join(
        f"<li>{bdi(s.title)} {said.FROM_TO.format(before=s.before, after=s.after)}</li>" for s in shifts[:NAMED]
    )
    return f'<p class="{kind}"><i aria-hidden="true">{sign}</i> {word}</p><ul>{rows}</ul>' if rows else ""


def ranking(state: State, steered: Steered, below: str) -> str:
    """The list under the edited text: each product with its move, and below it what left the list.

    Args:
        state: of the page, its evidence under the keys of the edits.
        below: what stands below any list.
    """
    k = len(steered.recommendations)
    marks = {s.id: delta(s, k, steered.ranks_are_floors) for s in steered.shifts}
    template = said.LEFT_FLOOR if steered.ranks_are_floors else said.LEFT_ROW
    rows = "".join(
        f'<li>{bdi(s.title)} <span class="fine">{template.format(before=s.before, after=s.after)}</span></li>'
        for s in steered.left
    )
    left = f'<section class="left-list"><h3>{said.LEFT.format(k=k)}</h3><ul>{rows}</ul></section>' if rows else ""
    return render.ranking(state, left + below, marks, pending=not steered.done)


def delta(shift: Shift, k: int, floors: bool) -> str:
    """A product's move: sign and figure for the eye, a sentence for the ear and on hover."""
    if shift.before > k:
        words = (said.WAS_RANK_FLOOR if floors else said.WAS_RANK).format(before=shift.before)
        return f'<span class="delta moved new" title="{words}">{said.NEW}<span class="for-ears">, {words}</span></span>'
    if not shift.delta:
        return f'<span class="delta"><i aria-hidden="true">=</i><span class="for-ears">{said.SAME}</span></span>'
    kind, sign, template = ("up", "▲", said.UP) if shift.delta > 0 else ("down", "▼", said.DOWN)
    words = template.format(count=abs(shift.delta), before=shift.before)
    return (
        f'<span class="delta moved {kind}" title="{words}"><i aria-hidden="true">{sign} {abs(shift.delta)}</i>'
        f'<span class="for-ears">{words}</span></span>'
    )


def nothing_left(error: object) -> str:
    """In the list's place when nothing is left to rank by."""
    return f'<p class="empty">{esc(error)}</p>'
