"""Which purchase mattered, whether the order does, how faithful the list is → HTML. Pure functions."""

from __future__ import annotations

from slim_app.faithfulness import Faithfulness, Tested
from slim_app.history_studies import Effect, Study
from slim_app.schema import Rationale
from slim_app.ui import words
from slim_app.ui import words_what_if as said
from slim_app.ui.escape import bdi, esc


def question(kind: str, orders: int) -> str:
    """A question and how it is answered."""
    title, how, _ = said.QUESTIONS[kind]
    return f'<h3>{title}</h3><p class="fine">{how.format(orders=orders)}</p>'


def study(kind: str, state: Study | None, writes: bool = True) -> str:
    """A running or finished study, strongest effect first. `kind`: `purchases` or `order`; `writes`: texts, too."""
    if state is None:
        return f'<p class="empty">{said.EMPTY_STUDY[kind]}</p>'
    running = state.status == "writing"
    error = f'<p class="error" role="alert">{esc(state.error)}</p>' if state.error else ""
    head = _progress(kind, state, writes) if running else ""
    if state.status == "stopped":
        text = said.STUDY_STOPPED.format(done=state.done, total=state.total)
        head = f'<p class="notice" role="status">{text}</p>'
    rows = "".join(_effect(kind, effect, not running) for effect in state.effects)
    mean = ""
    if state.effects and not running:
        left = sum(effect.left for effect in state.effects) / len(state.effects)
        mean = f'<p class="fine mean">{said.MEAN[kind].format(left=left, k=len(state.effects[0].shifts))}</p>'
    skipped = ""
    if state.skipped:
        labels = ", ".join(bdi(_named(kind, label)) for label in state.skipped)
        skipped = f'<p class="fine">{said.SKIPPED.format(labels=labels)}</p>'
    list_ = f'<ol class="effects">{rows}</ol>' if rows else ""
    return f"{error}{head}{list_}{mean}{skipped}"


def _named(kind: str, label: str) -> str:
    """A title as it is; of an order its number."""
    return label if kind == "purchases" else said.ORDER.format(number=label.rpartition(" ")[2])


def _progress(kind: str, state: Study, writes: bool) -> str:
    if not state.label:
        now = said.WRITING_FIRST if state.done == 0 else ""
    elif kind == "purchases":
        now = said.WRITING_WITHOUT.format(title=bdi(state.label))
    else:
        now = said.WRITING_ORDER.format(order=esc(_named(kind, state.label)))
    done = (said.PROGRESS_TEXTS if writes else said.PROGRESS).format(done=state.done, total=state.total)
    left = f" · {said.SECONDS_LEFT.format(seconds=state.seconds_left)}" if state.seconds_left else ""
    share = 100 * state.done / max(1, state.total)
    return (
        f'<div class="notice study-progress"><p role="status">{done}</p><p class="fine now">{now}{left}</p>'
        f'<span class="progress"><span style="width:{share:.0f}%"></span></span></div>'
    )


def _effect(kind: str, effect: Effect, details: bool) -> str:
    k = len(effect.shifts)
    name = bdi(_named(kind, effect.label))
    label = said.WITHOUT.format(title=name) if kind == "purchases" else name
    leave = said.LEAVE.get(effect.left, said.LEAVE_MANY).format(left=effect.left, k=k)
    width = 100 * effect.left / max(1, k)
    more = ""
    if details:
        more = f"<details><summary>{said.DETAILS}</summary>{_order(kind, effect)}{_text(effect.rationale)}"
        more += f"{_leaves(effect, k)}</details>"
    return (
        f'<li><span class="name">{label}</span><span class="leave">'
        f'<span class="bar" aria-hidden="true"><span style="width:{width:.0f}%"></span></span>{leave}</span>{more}</li>'
    )


def _order(kind: str, effect: Effect) -> str:
    rows = "".join(f"<li>{bdi(item.title)}</li>" for item in effect.history)
    return f'<p class="fine">{said.THE_ORDER}</p><ol>{rows}</ol>' if kind == "order" else ""


def _text(rationale: Rationale) -> str:
    written = " ".join(rationale.step1)
    return f'<p class="fine">{said.THEN_WRITES.format(text=bdi(written))}</p>' if written else ""


def _leaves(effect: Effect, k: int) -> str:
    rows = "".join(
        f"<li>{bdi(shift.title)} "
        f'<span class="fine">{said.MOVES.format(before=shift.before, after=shift.after)}</span></li>'
        for shift in effect.shifts
        if shift.after > k
    )
    return f'<p class="fine">{said.WOULD_LEAVE}</p><ul>{rows}</ul>' if rows else ""


# -- faithfulness -----------------------------------------------------------------------------------------------------


def faith(found: Faithfulness | None, evidence: dict[str, str] | None = None) -> str:
    """PN, PS and F in a sentence each, and each product's three ranks. `evidence`: segment key → its text."""
    if found is None:
        return f'<p class="empty">{said.EMPTY_STUDY["faith"]}</p>'
    n = len(found.items)
    figures = (
        (said.NECESSARY, {"count": round(found.pn * n), "n": n, "k": found.k}),
        (said.SUFFICIENT, {"count": round(found.ps * n), "n": n, "k": found.k}),
        (said.FAITHFUL, {"f": found.f}),
    )
    terms = "".join(
        f'<div><dt title="{term}">{title} <span class="fine">{term}</span></dt><dd>{text.format(**values)}</dd></div>'
        for (title, text, term), values in figures
    )
    heads = "".join(f'<th scope="col">{head}</th>' for head in said.FAITH_HEADS)
    rows = "".join(_tested(item, found.k, evidence or {}) for item in found.items)
    floor = f'<p class="fine">{said.AT_LEAST}</p>' if found.ranks_are_floors else ""
    return (
        f'<dl class="faith">{terms}</dl><table class="what-if-table"><caption>{said.FAITH_TABLE}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{floor}"
    )


def _tested(item: Tested, k: int, evidence: dict[str, str]) -> str:
    step = int(item.key.partition(".")[0])
    text = evidence.get(item.key, "")
    by = f'<span class="chip s{step}"><i aria-hidden="true">{words.NUMERALS[step]}</i> {bdi(text)}</span>'
    without = said.NOT_RANKED if item.rank_without is None else f"{item.rank_without:,}"
    necessary = item.rank_without is None or item.rank_without > k
    signs = (("✓" if flag else "✕") for flag in (necessary, item.rank_only <= k))
    cells = "".join(
        f'<td>{figure} <i aria-hidden="true">{sign}</i></td>'
        for figure, sign in zip((without, f"{item.rank_only:,}"), signs, strict=True)
    )
    return f'<tr><th scope="row">{bdi(item.title)}{by}</th><td>{item.rank}</td>{cells}</tr>'
