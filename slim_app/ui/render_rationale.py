"""The rationale → HTML: three cards, the marks of what they name, and the line of figures. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

from slim_app.schema import Mention, Rationale, State
from slim_app.services import model_line
from slim_app.ui import words
from slim_app.ui.escape import bdi, esc

ENTRIES = 5
"""Entries that Step 2 and Step 3 are asked for."""
_WAITING = f'<p class="notice waiting" role="status">{words.WAITING}</p>'
"""Shown by the page's script between the click and the first answer: while other visitors have all places."""


def reasoning(state: State | None) -> str:
    """The three step cards, their marks, and the line of figures below."""
    if state is None:
        return _cards(Rationale(), (), "idle") + _figures(None) + _WAITING
    if state.model.kind == "none" and not state.rationale.text:
        return f'<p class="empty">{words.NO_REASONING}</p>{_WAITING}'
    cards = _cards(state.rationale, state.grounding, state.status)
    return _alerts(state) + cards + _counts(state) + _figures(state) + _notes(state) + _WAITING


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
            body = (
                _sentences(entries[1], by_key, rationale.open)
                if step == 1
                else _entries(step, entries[step], by_key, rationale.open)
            )
        else:
            body = f'<p class="empty">{words.EMPTY_STEP[step]}</p>'
        if step > 1:  # the frame keeps its height from the first moment: nothing jumps while text streams
            body += '<div class="bone" aria-hidden="true"></div>' * max(0, ENTRIES - max(1, len(entries[step])))
        number = f'<span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
        cards.append(
            f'<section class="card s{step}" aria-label="{title}"><h3>{number}{title}'
            f'<span class="hint">{hint}</span>{fold}</h3><div class="body">{body}</div></section>'
        )
    return f'<div class="cards{folded}" role="group" aria-busy="{"true" if live else "false"}">{"".join(cards)}</div>'


def _sentences(sentences: Sequence[str], by_key: dict[str, list[Mention]], open_key: str) -> str:
    parts = []
    for number, sentence in enumerate(sentences, start=1):
        key = f"1.{number}"
        parts.append(
            f'<span class="seg" tabindex="0" data-seg="{key}">'
            f"{marked(sentence, by_key.get(key, ()))}{caret(key, open_key)}</span>"
        )
    return f"<p>{' '.join(parts)}</p>"


def marked(sentence: str, mentions: Sequence[Mention]) -> str:
    """A sentence with its known names underlined, each followed by its icon."""
    out, position = "", 0
    for mention in mentions:
        start = sentence.find(mention.text, position)
        if start < 0:
            continue
        icon, label = words.MARKS[mention.status]
        out += esc(sentence[position:start])
        out += f'<span class="named {mention.status}" title="{label}: {esc(mention.match)}">{esc(mention.text)}'
        out += f'<i role="img" aria-label="{label}">{icon}</i></span>'
        position = start + len(mention.text)
    return f"<bdi>{out}{esc(sentence[position:])}</bdi>"


def _entries(step: int, texts: Sequence[str], by_key: dict[str, list[Mention]], open_key: str) -> str:
    rows = []
    for number, text in enumerate(texts, start=1):
        key = f"{step}.{number}"
        marks = "".join(mark(mention) for mention in by_key.get(key, ()))
        rows.append(
            f'<li class="seg" tabindex="0" data-seg="{key}">'
            f'<span class="said">{bdi(text)}{caret(key, open_key)}</span>{marks}</li>'
        )
    return f"<ol>{''.join(rows)}</ol>"


def mark(mention: Mention) -> str:
    """Icon and words of what became of a name."""
    icon, label = words.MARKS[mention.status]
    title = mention.match
    if mention.status == "near":
        label = f'{label}: {bdi(mention.match)} <span class="num-small">{mention.similarity:.2f}</span>'
    return f'<span class="mark {mention.status}" title="{esc(title)}"><i aria-hidden="true">{icon}</i> {label}</span>'


def caret(key: str, open_key: str) -> str:
    """The blinking mark behind the segment that is being written."""
    return '<span class="caret" aria-hidden="true"></span>' if key == open_key else ""


def _counts(state: State) -> str:
    if not state.grounding:
        return ""
    counts = state.as_dict()["grounding"]["counts"]
    parts = [
        f'<span class="mark {s}"><i aria-hidden="true">{icon}</i> {counts[s]} {label}</span>'
        for s, (icon, label) in words.MARKS.items()
    ]
    return f'<p class="counts" aria-label="Names in the text">{"".join(parts)}</p>'


def _figures(state: State | None) -> str:
    if state is None:
        return '<p class="figures">&nbsp;</p>'
    stats = state.stats
    parts = [esc(model_line(state.model))]
    if state.status in {"reading"}:
        parts.append(words.READING)
    if stats.tokens and state.model.kind == "recorded":
        parts.append(words.REPLAYED)  # a replay has no speed of its own
    elif stats.tokens:
        parts.append(f"{stats.seconds:.1f} s")
        parts.append(f"{stats.tokens_per_second:.0f} tokens/s")
        parts.append(f"{stats.tokens} tokens")
    if state.status in {"stopped", "failed"} or (
        state.status == "done" and not state.rationale.complete and state.rationale.text
    ):
        parts.append(f'<b class="flag">{words.INCOMPLETE}</b>')
    return f'<p class="figures">{" <span aria-hidden=true>·</span> ".join(parts)}</p>'


def prompt(text: str) -> str:
    """The exact prompt of a run."""
    return f"<pre>{esc(text)}</pre>" if text else f'<p class="empty">{words.NO_PROMPT}</p>'
