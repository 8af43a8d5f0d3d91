"""State → HTML of the three beats. Pure functions: every text of a person or a model passes `esc`."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from slim_app.export import to_csv, to_json
from slim_app.schema import MAX_HISTORY, Item, Mention, Rationale, Recommendation, RunStats, State
from slim_app.services import model_line
from slim_app.ui import words
from slim_app.ui.escape import bdi, esc

ENTRIES = 5
"""Entries that Step 2 and Step 3 are asked for."""
BONES = 6


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
    return f'{older}<ol class="purchases" aria-label="{words.BEATS[1][0]}">{rows}</ol><div class="row-end">{clear}</div>'


def _purchase(item: Item, row: int, shown_row: int, total: int) -> str:
    name = esc(item.title)
    own = "" if item.id else f'<span class="tag">{words.OWN_WORDS}</span>'

    def button(act: str, sign: str, what: str, disabled: bool = False) -> str:
        off = " disabled" if disabled else ""
        return f'<button type="button" data-act="{act}" data-row="{row}" aria-label="{what}: {name}" title="{what}"{off}>{sign}</button>'

    return (
        f'<li draggable="true" data-row="{row}" data-seg="0.{shown_row + 1}">'
        f'<span class="grip" aria-hidden="true">⠿</span><span class="name">{bdi(item.title)}{own}</span>'
        f'<span class="acts">{button("up", "↑", "Move earlier", row == 0)}{button("down", "↓", "Move later", row == total - 1)}'
        f"{button('remove', '✕', 'Remove')}</span></li>"
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


def reasoning(state: State | None) -> str:
    """The three step cards, their marks, and the line of figures below."""
    if state is None:
        return _cards(Rationale(), (), "idle") + _figures(None)
    if state.model.kind == "none" and not state.rationale.text:
        return f'<p class="empty">{words.NO_REASONING}</p>'
    cards = _cards(state.rationale, state.grounding, state.status)
    return _alerts(state) + cards + _counts(state) + _figures(state) + _notes(state)


def waiting(state: State) -> str:
    """The cards of a run that has been asked for and has not begun."""
    return _cards(Rationale(), (), "reading") + f'<p class="figures" role="status">{esc(state.model.name)}</p>'


def _alerts(state: State) -> str:
    """What went wrong stands above the text that it concerns."""
    error = f'<p class="error" role="alert">{esc(state.error)}</p>' if state.error else ""
    return error + (f'<p class="notice" role="status">{words.STOPPED}</p>' if state.status == "stopped" else "")


def _notes(state: State) -> str:
    """What one should know about this text; below it, so that nothing moves when it appears."""
    notes = [*state.notices, state.model.note]
    if state.model.kind == "live" and not state.model.tuned:
        notes.append(words.UNTUNED_NOTE.format(recorded=words.WRITERS["recorded"]))
    return "".join(f'<p class="notice">{esc(note)}</p>' for note in notes if note)


def _cards(rationale: Rationale, grounding: Sequence[Mention], status: str) -> str:
    by_key: dict[str, list[Mention]] = {}
    for mention in grounding:
        by_key.setdefault(mention.key, []).append(mention)
    entries = {1: rationale.step1, 2: rationale.step2, 3: rationale.step3}
    live = status in {"reading", "writing"}
    folded = "" if live or status == "idle" else " folded"  # on a phone, finished cards show their first line
    fold = f'<button type="button" class="fold" aria-expanded="false">{words.UNFOLD}</button>' if folded else ""
    cards = []
    for step, (title, hint) in words.STEPS.items():
        if entries[step]:
            body = _sentences(entries[1], by_key, rationale.open) if step == 1 else _entries(step, entries[step], by_key, rationale.open)
        else:
            body = f'<p class="empty">{words.EMPTY_STEP[step]}</p>'
        if step > 1:  # the frame keeps its height from the first moment: nothing jumps while text streams
            body += '<div class="bone" aria-hidden="true"></div>' * max(0, ENTRIES - max(1, len(entries[step])))
        cards.append(
            f'<section class="card s{step}" aria-label="{title}"><h3><span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
            f'{title}<span class="hint">{hint}</span>{fold}</h3><div class="body">{body}</div></section>'
        )
    return f'<div class="cards{folded}" role="group" aria-busy="{"true" if live else "false"}">{"".join(cards)}</div>'


def _sentences(sentences: Sequence[str], by_key: dict[str, list[Mention]], open_key: str) -> str:
    parts = []
    for number, sentence in enumerate(sentences, start=1):
        key = f"1.{number}"
        parts.append(f'<span class="seg" tabindex="0" data-seg="{key}">{_marked(sentence, by_key.get(key, ()))}{_caret(key, open_key)}</span>')
    return f"<p>{' '.join(parts)}</p>"


def _marked(sentence: str, mentions: Sequence[Mention]) -> str:
    """A sentence with its known names underlined, each followed by its icon."""
    out, position = "", 0
    for mention in mentions:
        start = sentence.find(mention.text, position)
        if start < 0:
            continue
        icon, label = words.MARKS[mention.status]
        out += esc(sentence[position:start])
        out += f'<span class="named {mention.status}" title="{label}: {esc(mention.match)}">{esc(mention.text)}<i aria-label="{label}">{icon}</i></span>'
        position = start + len(mention.text)
    return f"<bdi>{out}{esc(sentence[position:])}</bdi>"


def _entries(step: int, texts: Sequence[str], by_key: dict[str, list[Mention]], open_key: str) -> str:
    rows = []
    for number, text in enumerate(texts, start=1):
        key = f"{step}.{number}"
        mark = "".join(_mark(mention) for mention in by_key.get(key, ()))
        rows.append(f'<li class="seg" tabindex="0" data-seg="{key}"><span class="said">{bdi(text)}{_caret(key, open_key)}</span>{mark}</li>')
    return f"<ol>{''.join(rows)}</ol>"


def _mark(mention: Mention) -> str:
    icon, label = words.MARKS[mention.status]
    title = mention.match
    if mention.status == "near":
        label = f"{label}: {bdi(mention.match)} <span class=\"num-small\">{mention.similarity:.2f}</span>"
    return f'<span class="mark {mention.status}" title="{esc(title)}"><i aria-hidden="true">{icon}</i> {label}</span>'


def _caret(key: str, open_key: str) -> str:
    return '<span class="caret" aria-hidden="true"></span>' if key == open_key else ""


def _counts(state: State) -> str:
    if not state.grounding:
        return ""
    counts = state.as_dict()["grounding"]["counts"]
    parts = [f'<span class="mark {s}"><i aria-hidden="true">{icon}</i> {counts[s]} {label}</span>' for s, (icon, label) in words.MARKS.items()]
    return f'<p class="counts" aria-label="Names in the text">{"".join(parts)}</p>'


def _figures(state: State | None) -> str:
    if state is None:
        return '<p class="figures">&nbsp;</p>'
    stats: RunStats = state.stats
    parts = [esc(model_line(state.model))]
    if state.status in {"reading"}:
        parts.append(words.READING)
    if stats.tokens:
        parts.append(f"{stats.seconds:.1f} s")
        parts.append(f"{stats.tokens_per_second:.0f} tokens/s")
        parts.append(f"{stats.tokens} tokens")
    if state.status in {"stopped", "failed"} or (state.status == "done" and not state.rationale.complete and state.rationale.text):
        parts.append(f'<b class="flag">{words.INCOMPLETE}</b>')
    return f'<p class="figures">{" <span aria-hidden=true>·</span> ".join(parts)}</p>'


def ranking(state: State | None, note: str = "") -> str:
    """The ranked list with scores and evidence."""
    if state is None or not state.recommendations:
        empty = words.EMPTY_RANKING if state is None or state.status != "done" else words.NO_MATCHES
        bones = '<div class="bone tall" aria-hidden="true"></div>' * (BONES if state is None else 0)
        return f'<p class="empty">{empty}</p>{bones}'
    help_ = words.SCORE_HELP if state.ranker.startswith("reasoning") else words.POOLED_HELP
    rows = "".join(_recommendation(r, help_) for r in state.recommendations)
    return f'<ol class="recs" aria-label="{words.BEATS[3][0]}">{rows}</ol>{note}'


def prompt(text: str) -> str:
    """The exact prompt of a run."""
    return f"<pre>{esc(text)}</pre>" if text else f'<p class="empty">{words.NO_PROMPT}</p>'


def downloads(state: State) -> str:
    """Links that hold the files themselves: nothing is stored on the server."""
    links = "".join(
        f'<a class="link" download="slim-{state.domain}.{kind}" href="data:{mime};charset=utf-8;base64,'
        f'{base64.b64encode(text.encode()).decode()}">{label}</a>'
        for kind, mime, text, label in (
            ("csv", "text/csv", to_csv(state), words.DOWNLOAD_CSV),
            ("json", "application/json", to_json(state), words.DOWNLOAD_JSON),
        )
    )
    return f'<div class="row-end">{links}</div>' if state.recommendations else ""


def _recommendation(rec: Recommendation, help_: str) -> str:
    evidence = rec.evidence
    meta = esc(" · ".join(filter(None, (rec.brand, rec.category))))
    why = ""
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
    width = max(0.0, min(1.0, rec.score)) * 100
    return (
        f'<li class="rec" tabindex="0" data-seg="{evidence.key if evidence else ""}" data-id="{esc(rec.id)}"><span class="rank">{rec.rank}</span>'
        f'<div class="what"><div class="title">{bdi(rec.title)}</div><div class="meta">{meta}</div>{why}</div>'
        f'<div class="score" title="{help_}"><span class="bar"><span style="width:{width:.0f}%"></span></span>'
        f'<span class="value">{rec.score:.2f}</span></div></li>'
    )
