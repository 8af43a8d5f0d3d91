"""The summary of a comparison, and what the votes add up to, as HTML. Every text of others passes `esc`."""

from __future__ import annotations

from collections.abc import Sequence

from slim_app.compare_state import ENDED, CompareState, SideState
from slim_app.comparison import Overlap, Pair, Summary
from slim_app.ui import words
from slim_app.ui import words_compare as said
from slim_app.ui.escape import bdi, esc
from slim_app.ui.render_compare import badge
from slim_app.vote_tally import Tally

MOST_PAIRS = 100
"""Rows of the tally on the page; visitors may name models, and all votes are in the files."""
def summary(state: CompareState | None) -> str:
    """Figures of each side, then what each pair has in common. Its frame stands from the start of a run."""
    if state is None:
        return f'<section class="glance"><h3>{said.SUMMARY}</h3><p class="empty">{said.SUMMARY_EMPTY}</p></section>'
    found = state.comparison
    error = said.SUMMARY_FAILED.format(error=esc(state.error)) if state.error else ""
    error = f'<p class="error" role="alert">{error}</p>' if error else ""
    heads = "".join(f'<th scope="col">{badge(side)}</th>' for side in state.sides)
    rows = ""
    for name, (label, help_) in said.ROWS.items():
        cells = "".join(
            f'<td><b class="on-phone">{side.key} </b>'
            f"{_cell(name, side, found.sides[n] if found else None, state)}</td>"
            for n, side in enumerate(state.sides)
        )
        rows += f'<tr><th scope="row" title="{help_}">{label}</th>{cells}</tr>'
    held = said.HELD_OUT.format(title=bdi(found.held_out)) if found and found.held_out else ""
    table = (
        f'<div class="wide"><table class="figures-table n{len(state.sides)}"><caption>{held or "&nbsp;"}</caption>'
        f'<thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
    )
    many = len(state.sides) > 2
    pairs = "".join(_pair(pair, found.k, many) for pair in found.pairs) if found else _frames(state)
    kind = "pairs folded" if many else "pairs"
    body = f'<div class="glance-body">{table}<div class="{kind}">{pairs}</div></div>'
    return f'<section class="glance"><h3>{said.SUMMARY}</h3>{error}{body}</section>'


def _cell(name: str, side: SideState, found: Summary | None, state: CompareState) -> str:
    """One figure of one side; what is not known says why."""
    if found is None:
        return said.UNKNOWN if state.status == "done" else said.PENDING
    why = said.UNKNOWN_WHY
    if name in ("first", "speed", "tokens", "cost", "cost_1000") and side.kind == "hidden":
        return _unknown(why["hidden"])
    if name == "held_out":
        known = state.comparison is not None and state.comparison.held_out
        if known and found.held_out_rank is not None:
            return f"<b>{said.RANK.format(rank=found.held_out_rank, total=state.comparison.ranked)}</b>"
        return _unknown(why["held_out"] if not known else why["unreached"] if found.products else why["nothing"])
    if name in ("exist", "valid", "repetition", "repeats"):
        return _form(name, found)
    if name in ("cost", "cost_1000"):
        amount = found.cost if name == "cost" else found.cost_per_1000
        template = said.DOLLARS if name == "cost" else said.DOLLARS_1000
        return template.format(value=amount) if amount is not None else _unknown(_no_cost(side))
    value = {"first": found.first_token_seconds, "speed": found.tokens_per_second, "tokens": found.tokens}[name]
    if value is None:
        return _unknown(why["replay"] if side.kind == "recorded" else said.UNKNOWN)
    return {"first": said.SECONDS, "speed": said.PER_SECOND, "tokens": said.TOKENS}[name].format(value=value)


def _form(name: str, found: Summary) -> str:
    if name == "exist" and found.products is not None:
        return "".join(
            f'<span class="mark {status}" title="{label}"><i aria-hidden="true">{icon}</i> {found.products[status]}'
            f'<span class="for-ears"> {label}</span></span> '
            for status, (icon, label) in words.MARKS.items()
        )
    if name == "valid" and found.valid is not None:
        return said.YES if found.valid else said.NO
    share = {"repetition": found.repetition, "repeats": found.repeated_products}.get(name)
    return said.PERCENT.format(share=share) if share is not None else _unknown(said.UNKNOWN_WHY["nothing"])


def _no_cost(side: SideState) -> str:
    why = said.UNKNOWN_WHY
    if side.kind == "recorded":
        return why["cost_replay"]
    return why["price"] if side.price is None else why["unfinished"] if side.status != "finished" else why["usage"]


def _unknown(text: str) -> str:
    return f'<span class="unknown">{text}</span>'


def _frames(state: CompareState) -> str:
    """Empty boxes of the pairs' size, so that nothing below moves when they are filled."""
    count = len(state.sides)
    ended = all(side.status in ENDED for side in state.sides) and state.status == "done"
    return "" if ended else '<div class="pair" aria-hidden="true"></div>' * (count * (count - 1) // 2)


def _pair(pair: Pair, k: int, folded: bool) -> str:
    """`folded`: one of three, whose lists would keep the steps far below."""
    facts = []
    if pair.cosine is not None:
        facts.append(f'<span title="{said.COSINE_HELP}">{said.COSINE.format(value=pair.cosine)}</span>')
    if pair.top_shared is not None:
        facts.append(said.TOP_SHARED.format(count=f"<b>{pair.top_shared}</b>", k=k))
    title = said.PAIR.format(first=pair.first, second=pair.second)
    parts = _overlap(2, said.CATEGORIES, pair.categories, pair) + _overlap(3, said.PRODUCTS, pair.products, pair)
    if folded:
        parts = f"<details><summary>{said.SHARE_LISTS}</summary>{parts}</details>"
    return (
        f'<section class="pair" aria-label="{title}"><h4>{title}</h4><p class="fine">'
        f'{" · ".join(facts) or said.UNKNOWN}</p>{parts}</section>'
    )


def _overlap(step: int, title: str, found: Overlap, pair: Pair) -> str:
    columns = (
        (said.BOTH, found.shared, "both"),
        (said.ONLY.format(key=pair.first), found.only_first, ""),
        (said.ONLY.format(key=pair.second), found.only_second, ""),
    )
    cells = "".join(
        f'<div class="{kind}"><h6>{label} <span class="num-small">{len(entries)}</span></h6>{_entries(entries)}</div>'
        for label, entries, kind in columns
    )
    number = f'<span class="num" aria-hidden="true">{words.NUMERALS[step]}</span>'
    return f'<div class="overlap s{step}"><h5>{number} {title}</h5><div class="venn">{cells}</div></div>'


def _entries(entries: Sequence[str]) -> str:
    rows = "".join(f"<li>{bdi(text)}</li>" for text in entries)
    return f"<ul>{rows}</ul>" if rows else f'<p class="fine">{said.NONE}</p>'


def tallies(found: Sequence[Tally]) -> str:
    """All votes, one pair of writers a row, the pairs with most votes first."""
    if not found:
        return f'<p class="empty">{said.TALLY_EMPTY}</p>'
    *columns, last = said.TALLY_COLUMNS
    heads = "".join(f'<th scope="col">{column}</th>' for column in columns)
    heads += f'<th scope="col" title="{said.SHARE_HELP}">{last}</th>'
    rows = ""
    for tally in found[:MOST_PAIRS]:
        low, high = tally.interval or (0.0, 0.0)
        rate = tally.win_rate
        share = said.UNKNOWN if rate is None else said.SHARE.format(share=rate, low=low, high=high)
        figures = (tally.n, tally.wins_first, tally.wins_second, tally.ties, tally.both_bad)
        cells = "".join(
            f'<td data-name="{column}">{value}</td>'
            for column, value in zip(
                said.TALLY_COLUMNS[1:], (said.HIDDEN if tally.blind else said.SHOWN, *figures, share), strict=True
            )
        )
        rows += f'<tr><th scope="row">{bdi(tally.first)} / {bdi(tally.second)}</th>{cells}</tr>'
    more = len(found) - MOST_PAIRS
    note = f'<p class="fine">{said.TALLY_MORE.format(count=more)}</p>' if more > 0 else ""
    return f'<table class="tally"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{note}'
