"""State → HTML of the three beats. Pure functions: every text of a person or a model passes `esc`."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from slim_app.export import to_csv, to_json
from slim_app.schema import MAX_HISTORY, Item, Recommendation, Shopper, State
from slim_app.ui import words, words_what_if
from slim_app.ui.escape import bdi, esc

BONES = 6
"""Placeholder rows of the empty list."""
SHOWN_SAMPLES = 3


def beat(number: int) -> str:
    """Heading of one of the three columns."""
    title, hint = words.BEATS[number]
    return f'<div class="beat"><h2><span class="beat-num">{number}</span>{title}</h2><p>{hint}</p></div>'


def history(items: Sequence[Item]) -> str:
    """The purchases as a list that can be reordered and shortened, oldest first; older than the newest 20 folded."""
    if not items:
        return f'<p class="empty">{words.HISTORY_EMPTY}</p>'
    start = max(0, len(items) - MAX_HISTORY)
    rows = "".join(_purchase(items[row], row, row - start, len(items)) for row in range(start, len(items)))
    older = f'<p class="fine">{words.HISTORY_OLD.format(count=start)}</p>' if start else ""
    clear = f'<button type="button" class="link" data-act="clear">{words.CLEAR}</button>'
    return (
        f'{older}<ol class="purchases" aria-label="{words.BEATS[1][0]}">{rows}</ol><div class="row-end">{clear}</div>'
    )


def _purchase(item: Item, row: int, shown_row: int, total: int) -> str:
    name = esc(item.title)
    own = "" if item.id else f'<span class="tag">{words.OWN_WORDS}</span>'

    def button(act: str, sign: str, what: str, disabled: bool = False) -> str:
        off = " disabled" if disabled else ""
        data = f'data-act="{act}" data-row="{row}"'
        return f'<button type="button" {data} aria-label="{what}: {name}" title="{what}"{off}>{sign}</button>'

    acts = button("up", "↑", words.MOVE_EARLIER, row == 0) + button("down", "↓", words.MOVE_LATER, row == total - 1)
    acts += button("remove", "✕", words.REMOVE)
    return (
        f'<li draggable="true" data-row="{row}" data-seg="0.{shown_row + 1}">'
        f'<span class="grip" aria-hidden="true">⠿</span><span class="name">{bdi(item.title)}{own}</span>'
        f'<span class="acts">{acts}</span></li>'
    )


def hits(found: Sequence[Item], typed: str) -> str:
    """Search results as buttons; the last one adds the typed words as they are."""
    if not typed.strip():
        return ""
    rows = "".join(
        f'<li><button type="button" data-act="add" data-id="{esc(item.id)}">{bdi(item.title)}'
        f'<span class="fine">{esc(" · ".join(filter(None, (item.brand, item.category))))}</span></button></li>'
        for item in found
    )
    own = words.ADD_OWN_WORDS.format(text=f"<bdi>{esc(typed.strip()[:80])}</bdi>")
    none = "" if found else f'<li class="fine none">{words.SEARCH_NONE}</li>'
    return f'<ul class="hits">{rows}{none}<li><button type="button" class="own" data-act="own">{own}</button></li></ul>'


def ranking(state: State | None, note: str = "", marks: Mapping[str, str] | None = None, pending: bool = False) -> str:
    """The ranked list with scores and evidence.

    Args:
        note: HTML below the list.
        marks: product id → HTML below its rank.
        pending: the evidence is still to come; its place is kept.
    """
    if state is None or not state.recommendations:
        empty = words.EMPTY_RANKING if state is None or state.status != "done" else words.NO_MATCHES
        bones = '<div class="bone tall" aria-hidden="true"></div>' * (BONES if state is None else 0)
        return f'<p class="empty">{empty}</p>{bones}'
    marks = marks or {}
    rows = "".join(_recommendation(r, _score(r, state), marks.get(r.id, ""), pending) for r in state.recommendations)
    notes = "".join(f'<p class="fine ranker-note">{esc(text)}</p>' for text in state.ranker_notes)
    return f'{notes}<ol class="recs" aria-label="{words.BEATS[3][0]}">{rows}</ol>{note}'


def _score(rec: Recommendation, state: State) -> str:
    """What a ranker can say in figures: a similarity, the ranks of both sides, or a score without a unit."""
    if rec.rank_sequence is not None and rec.rank_reasoning is not None:
        text = words.SIDES.format(sequence=rec.rank_sequence, reasoning=rec.rank_reasoning)
        return f'<div class="score sides" title="{words.SIDES_HELP}">{text}</div>'
    if state.ranker in ("fused", "sequence"):
        return f'<div class="score" title="{words.MODEL_SCORE_HELP}"><span class="value">{rec.score:.1f}</span></div>'
    help_ = words.SCORE_HELP if state.ranker.startswith("reasoning") else words.POOLED_HELP
    width = max(0.0, min(1.0, rec.score)) * 100
    return (
        f'<div class="score" title="{help_}"><span class="bar"><span style="width:{width:.0f}%"></span></span>'
        f'<span class="value">{rec.score:.2f}</span></div>'
    )


def ranker_help(name: str, backbone: str) -> str:
    """What the chosen ranker does, in one line; the others' lines for the page's script, which shows them on hover."""
    lines = {key: text.format(backbone=backbone) for key, text in words.RANKER_HELP.items()}
    return f'<p class="fine" data-help="{esc(json.dumps(lines))}">{esc(lines[name])}</p>'


def downloads(state: State) -> str:
    """Links that hold the files themselves: nothing is stored on the server. Also the ways to the panels below."""
    links = "".join(
        f'<a class="link" download="slim-{esc(state.domain)}.{kind}" href="data:{mime};charset=utf-8;base64,'
        f'{base64.b64encode(text.encode()).decode()}">{label}</a>'
        for kind, mime, text, label in (
            ("csv", "text/csv", to_csv(state), words.DOWNLOAD_CSV),
            ("json", "application/json", to_json(state), words.DOWNLOAD_JSON),
        )
    )
    weighed = any(rec.rank_sequence is not None for rec in state.recommendations)
    lens = f'<button type="button" class="link" data-open="lens">{words.LENS_LINK}</button>' if weighed else ""
    others = f'<button type="button" class="link" data-open="what-if">{words_what_if.LINK}</button>'
    return f'<div class="row-end">{others}{lens}{links}</div>' if state.recommendations else ""


def _recommendation(rec: Recommendation, score: str, mark: str = "", pending: bool = False) -> str:
    evidence = rec.evidence
    meta = esc(" · ".join(filter(None, (rec.brand, rec.category))))
    why = '<div class="why pending" aria-hidden="true"></div>' if pending else ""
    if evidence:
        if evidence.rank_without is None:
            without = words.WITHOUT_NOTHING
        elif evidence.rank_without == rec.rank:
            without = words.WITHOUT_SAME.format(rank=rec.rank)
        else:
            template = words.WITHOUT_FLOOR if evidence.rank_without_is_floor else words.WITHOUT_IT
            without = template.format(rank=f"{evidence.rank_without:,}")
        why = (
            f'<div class="why"><span class="said-by">{words.PUT_HERE_BY} <span class="chip s{evidence.step}">'
            f"<i>{words.NUMERALS[evidence.step]}</i> {bdi(evidence.text)}</span></span>"
            f'<span class="without">{without}</span></div>'
        )
    return (
        f'<li class="rec" tabindex="0" data-seg="{evidence.key if evidence else ""}" data-id="{esc(rec.id)}">'
        f'<span class="rank">{rec.rank}{mark}</span>'
        f'<div class="what"><div class="title">{bdi(rec.title)}</div><div class="meta">{meta}</div>{why}</div>'
        f"{score}</li>"
    )


def chips(shoppers: Sequence[Shopper], picked: Shopper | None) -> str:
    """The first samples as buttons; the picked one is marked."""
    shown = list(shoppers[:SHOWN_SAMPLES])
    if picked and picked not in shown:
        shown[-1:] = [picked]
    buttons = "".join(
        f'<button type="button" data-act="sample" data-id="{esc(s.shopper_id)}" '
        f'aria-pressed="{str(s == picked).lower()}">{bdi(s.name)}</button>'
        for s in shown
    )
    return f'<div class="chips" role="group" aria-label="{words.SAMPLES_LABEL}">{buttons}</div>' if buttons else ""


def error(message: object) -> str:
    return f'<p class="error" role="alert">{esc(message)}</p>'


def progress(done: int, total: int, seconds: float) -> str:
    """A progress bar with what is done and, after two seconds, what is left."""
    left = words.ENCODING_LEFT.format(seconds=seconds / done * (total - done)) if done and seconds > 2 else ""
    share = 100 * done / max(1, total)
    return (
        f'<p class="notice" role="status">{words.ENCODING.format(done=done, total=total)}{left}'
        f'<span class="progress"><span style="width:{share:.0f}%"></span></span></p>'
    )
