"""Other purchases → HTML: the changed copy, both texts side by side, the ranks as a table. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from slim_app.schema import MAX_HISTORY, Item, Rationale
from slim_app.services import model_line
from slim_app.text_diff import Piece, diff_steps
from slim_app.ui import words
from slim_app.ui import words_what_if as said
from slim_app.ui.escape import bdi, esc
from slim_app.ui.render_rationale import ENTRIES, caret
from slim_app.what_if import RUNNING, Bump, BumpLine, WhatIf

BUSY = ("waiting", *RUNNING)
Diff = dict[int, tuple[Piece, ...]]


def intro(note: str) -> str:
    """What the panel is for, and what should be known about the result above."""
    return f'<p class="fine">{said.INTRO}</p>' + (f'<p class="notice">{esc(note)}</p>' if note else "")


def waiting() -> str:
    """Between a click and the first answer; the style sheet shows it only when that takes long."""
    return f'<p class="notice what-if-waiting" role="status">{words.WAITING}</p>'


# -- the changed copy -------------------------------------------------------------------------------------------------


def purchases(items: Sequence[Item], explained: Sequence[Item]) -> str:
    """The changed purchases as rows with buttons; below, what is changed and the way back."""
    start = max(0, len(items) - MAX_HISTORY)
    more = Counter(items) - Counter(explained)
    added = {row for row, item in reversed(list(enumerate(items))) if _take(more, item)}
    rows = "".join(_purchase(items[row], row, len(items), row in added) for row in range(start, len(items)))
    older = f'<p class="fine">{words.HISTORY_OLD.format(count=start)}</p>' if start else ""
    list_ = f'<ol class="purchases" aria-label="{said.COPY_LABEL}">{rows}</ol>'
    empty = f'<p class="empty">{said.NOTHING_LEFT}</p>'
    if list(items) == list(explained):
        return f'{older}{list_}<p class="fine changes">{said.UNCHANGED}</p>'
    back = f'<button type="button" class="link" data-act="reset">{said.BACK}</button>'
    changed = f'<p class="fine changes" role="status">{changes(explained, items)}</p>'
    return f'{older}{list_ if items else empty}{changed}<div class="row-end">{back}</div>'


def _take(counts: Counter, item: Item) -> bool:
    counts[item] -= 1
    return counts[item] >= 0


def _purchase(item: Item, row: int, total: int, added: bool) -> str:
    name = esc(item.title)
    tags = [words.OWN_WORDS] * (not item.id) + [said.ADDED_TAG] * added

    def button(act: str, sign: str, what: str, disabled: bool = False) -> str:
        off = " disabled" if disabled else ""
        data = f'data-act="{act}" data-row="{row}"'
        return f'<button type="button" {data} aria-label="{what}: {name}" title="{what}"{off}>{sign}</button>'

    acts = button("up", "↑", words.MOVE_EARLIER, row == 0) + button("down", "↓", words.MOVE_LATER, row == total - 1)
    acts += button("remove", "✕", words.REMOVE)
    shown = "".join(f'<span class="tag">{tag}</span>' for tag in tags)
    return (
        f'<li draggable="true" data-row="{row}"><span class="grip" aria-hidden="true">⠿</span>'
        f'<span class="name">{bdi(item.title)}{shown}</span><span class="acts">{acts}</span></li>'
    )


def changes(before: Sequence[Item], after: Sequence[Item]) -> str:
    """What is different, in words: without A · with B · in another order."""
    gone, new = Counter(before) - Counter(after), Counter(after) - Counter(before)
    parts = [
        template.format(titles=", ".join(f"“{bdi(item.title)}”" for item in found.elements()))
        for template, found in ((said.TAKEN_OUT, gone), (said.ADDED, new))
        if found
    ]
    kept = Counter(before) & Counter(after)
    if _kept(before, kept) != _kept(after, kept):
        parts.append(said.REORDERED)
    return " · ".join(parts)


def _kept(items: Sequence[Item], kept: Counter) -> list[Item]:
    left = Counter(kept)
    return [item for item in items if _take(left, item)]


# -- both texts -------------------------------------------------------------------------------------------------------


def texts(moment: WhatIf | None, before: Sequence[Item] = (), diff: bool = False, writes: bool = True) -> str:
    """Old left, new right, one row a step; on a phone below each other within a step.

    `before`: the old history. `writes`: whether there will be texts at all.
    """
    if moment is None:
        return f'<p class="empty">{said.EMPTY if writes else said.EMPTY_LISTS}</p>'
    state = moment.state
    error = f'<p class="error" role="alert">{esc(state.error)}</p>' if state.error else ""
    if state.model.kind == "none":
        return error
    busy = state.status in BUSY
    compared = diff_steps(moment.old, state.rationale) if diff and not busy else None
    heads = _head("before", said.BEFORE, said.AS_ABOVE) + _head("after", said.AFTER, changes(before, state.history))
    rows = "".join(_row(step, moment, compared) for step in words.STEPS)
    hint = f'<p class="fine">{said.DIFF_HINT}</p>' if compared else ""
    stopped = f'<p class="notice" role="status">{said.STOPPED}</p>' if state.status == "stopped" else ""
    by = f'<p class="figures">{said.WRITTEN_BY.format(model=esc(model_line(state.model)))}</p>'
    return (
        f'<h3>{said.TEXTS}</h3>{error}{stopped}{hint}<div class="duel n2 what-if-heads">{heads}</div>'
        f'<div class="steps" role="group" aria-busy="{str(busy).lower()}">{rows}</div>{by}'
    )


def _head(side: str, title: str, changed: str) -> str:
    return f'<div class="w-{side}"><b class="writer">{title}</b> <span class="fine">{changed}</span></div>'


def _row(step: int, moment: WhatIf, compared: Diff | None) -> str:
    title, _ = words.STEPS[step]
    number = f'<span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
    status = moment.state.status
    cells = _cell("before", said.BEFORE, step, moment.old, status == "waiting", None)
    if status == "waiting":
        body = f'<p class="empty">{said.WAITS}</p>' if step == 1 else ""
        cells += _framed("after", said.AFTER, body + _bones(step, 0))
    else:
        pieces = compared[step] if compared else None
        cells += _cell("after", said.AFTER, step, moment.state.rationale, status in RUNNING, pieces)
    return (
        f'<section class="step card s{step}" aria-label="{title}"><h3>{number}{title}</h3>'
        f'<div class="duel n2">{cells}</div></section>'
    )


def _cell(side: str, label: str, step: int, rationale: Rationale, busy: bool, pieces: Sequence[Piece] | None) -> str:
    entries = getattr(rationale, f"step{step}")
    if pieces is not None:
        body = f'<p class="diff">{"".join(map(_piece, pieces))}</p>' if pieces else ""
    elif step == 1:
        sentences = (f"{bdi(text)}{caret(f'1.{n}', rationale.open)}" for n, text in enumerate(entries, start=1))
        body = f"<p>{' '.join(sentences)}</p>" if entries else ""
    else:
        rows = "".join(
            f'<li class="seg"><span class="said">{bdi(text)}{caret(f"{step}.{n}", rationale.open)}</span></li>'
            for n, text in enumerate(entries, start=1)
        )
        body = f"<ol>{rows}</ol>" if entries else ""
    if busy:  # the frame keeps its height: nothing jumps while text streams
        body += _bones(step, len(entries))
    return _framed(side, label, body or f'<p class="empty">{said.NOTHING_WRITTEN}</p>')


def _bones(step: int, entries: int) -> str:
    return '<div class="bone" aria-hidden="true"></div>' * max(0, ENTRIES - entries) if step > 1 else ""


def _framed(side: str, label: str, body: str) -> str:
    name = f'<span class="writer on-phone">{label}</span>'
    return f'<div class="cell w-{side}" role="group" aria-label="{label}">{name}{body}</div>'


def _piece(piece: Piece) -> str:
    operation, text = piece
    shown = esc(text).replace("\n", "<br>")
    if operation == "delete":
        return f'<del><span class="for-ears">{said.ONLY_BEFORE} </span>{shown}</del>'
    return f'<ins><span class="for-ears">{said.ONLY_AFTER} </span>{shown}</ins>' if operation == "insert" else shown


# -- the ranks --------------------------------------------------------------------------------------------------------


def kind_of(line: BumpLine, k: int) -> str:
    """`came` into the first k, `left` them, or '' for a product that is on both lists."""
    before, after = (rank is not None and rank <= k for rank in line.ranks)
    return "" if before == after else "came" if after else "left"


def rank_text(rank: int | None, floor: bool) -> str:
    """A rank in words; `floor`: of an approximately searched catalogue, where it may be lower."""
    if rank is None:
        return said.BOUGHT_HOVER
    return (said.RANK_FLOOR if floor else said.RANK_HOVER).format(rank=rank)


def outcome(bump: Bump | None, most: int) -> str:
    """How many products came, left and stayed, which is also the legend of the chart; `most`: what the chart shows."""
    if bump is None:
        return ""
    kinds = Counter(kind_of(line, bump.k) for line in bump.lines)
    parts = "".join(
        f'<span class="bump {kind or "both"}"><i aria-hidden="true">{sign}</i> '
        f"{text.format(count=kinds[kind], k=bump.k)}</span>"
        for kind, (sign, text) in said.SUMMARY.items()
    )
    note = f'<p class="fine">{said.FIRST_ONLY.format(most=most, k=bump.k)}</p>' if bump.k > most else ""
    return f'<h3>{said.RANKS}</h3><p class="bumps" role="status">{parts}</p>{note}'


def table(bump: Bump | None) -> str:
    """The data of the chart."""
    if bump is None:
        return ""
    heads = "".join(f'<th scope="col">{head}</th>' for head in (said.PRODUCT, said.BEFORE, said.AFTER))
    body = ""
    for line in bump.lines:
        kind = kind_of(line, bump.k)
        sign = f' <span class="bump {kind}"><i aria-hidden="true">{said.SUMMARY[kind][0]}</i></span>' if kind else ""
        ranks = "".join(f"<td>{_figure(rank, bump.ranks_are_floors)}</td>" for rank in line.ranks)
        body += f'<tr><th scope="row">{bdi(line.title)}{sign}</th>{ranks}</tr>'
    return (
        f'<details><summary>{said.TABLE}</summary><table class="what-if-table"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></details>"
    )


def _figure(rank: int | None, floor: bool) -> str:
    if rank is None:
        return said.BOUGHT
    return f'<span title="{rank_text(rank, True)}">≥ {rank:,}</span>' if floor else f"{rank:,}"
