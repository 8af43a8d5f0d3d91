"""The rationale → HTML: three cards, the marks of what they name, and the line of figures. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slim_app.schema import Mention, Rationale, State
from slim_app.services import model_line
from slim_app.ui import words, words_steer
from slim_app.ui.escape import bdi, esc

ENTRIES = 5
"""Entries that Step 2 and Step 3 are asked for."""
NO_ENDS: Mapping[int, str] = {}
_BAR = '<div class="steer-bar" aria-hidden="true"></div>'
"""Keeps the place of the line below the cards that comes when they can be edited."""
_WAITING = f'<p class="notice waiting" role="status">{words.WAITING}</p>'
"""Shown by the page's script between the click and the first answer: while other visitors have all places."""


def reasoning(state: State | None, cards: str = "") -> str:
    """The three step cards, their marks, and the line of figures below.

    `cards`: HTML in the cards' place, where they can be edited.
    """
    if state is None:
        return _cards(Rationale(), (), "idle") + _figures(None) + _WAITING
    if state.model.kind == "none" and not state.rationale.text:
        return f'<p class="empty">{words.NO_REASONING} {words_steer.NOT_READ}</p>{_WAITING}'
    cards = cards or _cards(state.rationale, state.grounding, state.status)
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
    bodies = {1: (_sentences(entries[1], by_key, rationale.open), len(entries[1]))}
    bodies |= {step: (_entries(step, entries[step], by_key, rationale.open), len(entries[step])) for step in (2, 3)}
    return frame(bodies, live, folded=not live and status != "idle") + _BAR


def frame(
    bodies: Mapping[int, tuple[str, int]], live: bool = False, folded: bool = True, ends: Mapping[int, str] = NO_ENDS
) -> str:
    """The three cards, of the same height from the first moment on, so that nothing jumps while text streams.

    Args:
        bodies: step → HTML of its segments, and how many there are.
        folded: on a phone the cards show their first line.
        ends: step → HTML at the card's end.
    """
    fold = f'<button type="button" class="fold" aria-expanded="false">{words.UNFOLD}</button>' if folded else ""
    cards = []
    for step, (title, hint) in words.STEPS.items():
        body, count = bodies[step]
        body = body if count else f'<p class="empty">{words.EMPTY_STEP[step]}</p>'
        if step > 1:
            body += '<div class="bone" aria-hidden="true"></div>' * max(0, ENTRIES - max(1, count))
        end = ends.get(step, "")
        number = f'<span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
        cards.append(
            f'<section class="card s{step}" aria-label="{title}"><h3>{number}{title}'
            f'<span class="hint">{hint}</span>{fold}</h3><div class="body">{body}</div>{end}</section>'
        )
    kind, busy = "cards folded" if folded else "cards", str(live).lower()
    return f'<div class="{kind}" role="group" aria-busy="{busy}">{"".join(cards)}</div>'


def _sentences(sentences: Sequence[str], by_key: dict[str, list[Mention]], open_key: str) -> str:
    parts = []
    for number, sentence in enumerate(sentences, start=1):
        key = f"1.{number}"
        parts.append(
            f'<div class="seg" tabindex="0" data-seg="{key}">'
            f'<span class="said">{marked(sentence, by_key.get(key, ()))}{caret(key, open_key)}</span></div>'
        )
    return f'<div class="sentences">{"".join(parts)}</div>'


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
    return f'<p class="counts" aria-label="{words.COUNTS}">{"".join(parts)}</p>'


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
        told = {"seconds": stats.seconds, "speed": stats.tokens_per_second, "tokens": stats.tokens}
        parts += [text.format(**told) for text in words.FIGURES]
    if state.status in {"stopped", "failed"} or (
        state.status == "done" and not state.rationale.complete and state.rationale.text
    ):
        parts.append(f'<b class="flag">{words.INCOMPLETE}</b>')
    return f'<p class="figures">{" <span aria-hidden=true>·</span> ".join(parts)}</p>'


def prompt(text: str) -> str:
    """The exact prompt of a run."""
    return f"<pre>{esc(text)}</pre>" if text else f'<p class="empty">{words.NO_PROMPT}</p>'
