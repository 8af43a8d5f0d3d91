"""The online path as one generator of whole states: history → rationale → segments → ranking → evidence.

The page shows each state, the API returns the last one: one code path, so both always agree.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from slim_app.domain import Domain
from slim_app.encoder import TextEncoder
from slim_app.errors import SlimError
from slim_app.explain import ground
from slim_app.prompts import MAX_TITLE_CHARS
from slim_app.rationale import parse
from slim_app.reasoners.base import Reasoner
from slim_app.recommenders.rank import check_k, rank
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import MAX_HISTORY, Item, ModelInfo, Rationale, RunStats, State, shown

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

REDRAW = 0.08
"""Seconds between two states while text streams: smooth to the eye, cheap for the two cores that also decode."""
NO_MODEL = ModelInfo("none", kind="none", note="No language model took part: ranked by the purchases alone.")


def explain(
    history: Sequence[Item],
    domain: Domain,
    reasoner: Reasoner | None,
    ranker: Ranker | TrainedRanker,
    encoder: TextEncoder,
    k: int,
    stop: threading.Event | None = None,
) -> Iterator[State]:
    """Yield whole states up to `done`, `stopped` or `failed`; raises no SlimError once it has begun to write.

    Args:
        history: purchases, oldest first; the newest 20 count.
        reasoner: not needed (None) by a ranker that uses no rationale.
        stop: set from another thread to end early; what was written by then is kept, ranked and marked.

    Raises:
        SlimError: before anything is written, for an empty history, one that the ranker cannot read, or a bad k.
    """
    k = check_k(k)
    if not history:
        raise SlimError("The purchase history is empty. Add at least one product, or pick a sample shopper.")
    state = State(
        "reading", notices=tuple(_notices(history)), domain=domain.name, ranker=ranker.name,
        ranker_notes=ranker.notes(history), history=tuple(history),
    )  # fmt: skip
    if not ranker.uses_rationale:
        list_ = rank(history, Rationale(), domain, encoder, ranker, k)
        yield replace(state, status="done", model=NO_MODEL, recommendations=list_)
        return
    assert reasoner is not None, "a ranker that uses a rationale needs a reasoner"
    read = len(reasoner.read(history))
    if read < len(shown(history)):
        notice = f"Only the newest {read} purchases fit into this model’s context."
        state = replace(state, notices=(*state.notices, notice))
    state = replace(state, model=reasoner.info)
    yield state
    yield from _written(state, history, domain, reasoner, ranker, encoder, k, stop or threading.Event())


def rank_rationale(
    text: str, history: Sequence[Item], domain: Domain, ranker: Ranker | TrainedRanker, encoder: TextEncoder, k: int,
    cut: bool = False,
) -> State:  # fmt: skip
    """Ranks by a rationale that the caller wrote: no language model.

    `cut`: its writer was stopped before it was whole.

    Raises:
        SlimError: no text, a bad k.
    """
    k = check_k(k)
    rationale = parse(text, cut=cut)
    if not any(rationale.segments()):
        what = "holds none of the three steps" if text.strip() else "is empty"
        raise SlimError(f"The rationale {what}. Mark its parts with “Step 1:”, “Step 2:”, “Step 3:”; one is enough.")
    note = "The rationale was given by the caller: no language model took part."
    model = ModelInfo("the caller", kind="none", note=note)
    notices = (*_notices(history), *rationale.problems)
    state = State(
        "done", rationale, model=model, notices=notices, domain=domain.name, ranker=ranker.name,
        ranker_notes=ranker.notes(history), history=tuple(history),
    )  # fmt: skip
    return _ranked(state, rationale, history, domain, ranker, encoder, k)


def _written(state, history, domain, reasoner, ranker, encoder, k, stop) -> Iterator[State]:
    """The states while the reasoner writes, and the last one."""
    stats, text, error = RunStats(), "", ""
    ranked_keys: tuple[str, ...] = ()
    last_draw = 0.0
    deltas = reasoner.stream(history, stats)
    try:
        for delta in deltas:
            text += delta
            if stop.is_set():
                break
            now = time.perf_counter()
            if delta and now - last_draw >= REDRAW:
                last_draw = now
                rationale = parse(text, finished=False)
                state = replace(state, status="writing", rationale=rationale, stats=replace(stats))
                closed = tuple(s.key for s in rationale.segments() if s.key != rationale.open)
                if closed and closed != ranked_keys:  # a segment has ended: the list and the marks may move
                    ranked_keys = closed
                    state = _ranked(state, _closed(rationale), history, domain, ranker, encoder, k)
                yield state
            elif not delta:
                yield state
    except SlimError as failure:
        error = str(failure)
    finally:
        deltas.close()  # also when the page is gone (GeneratorExit): the engine must not write on
    cut = stop.is_set() or bool(error) or stats.finish_reason == "length"
    rationale = parse(text, finished=True, cut=cut)
    status = "failed" if error else "stopped" if stop.is_set() else "done"
    notices = state.notices + rationale.problems
    state = replace(state, status=status, rationale=rationale, stats=stats, notices=notices, error=error)
    if any(rationale.segments()):
        try:
            state = _ranked(state, rationale, history, domain, ranker, encoder, k)
        except SlimError as failure:  # e.g. the encoder's weights are missing: the text must not be lost
            state = replace(state, status="failed", error=error or str(failure))
    elif not error and not stop.is_set():
        error = f"{reasoner.info.name} wrote nothing that could be read. Run it again."
        state = replace(state, status="failed", error=error)
    yield state


def _ranked(state: State, rationale: Rationale, history, domain, ranker, encoder, k) -> State:
    return replace(
        state,
        recommendations=rank(history, rationale, domain, encoder, ranker, k),
        grounding=ground(rationale, history, domain, encoder),
    )


def _closed(rationale: Rationale) -> Rationale:
    """The rationale without the segment that is still being written."""
    step, _, number = rationale.open.partition(".")
    if not step:
        return rationale
    field = f"step{step}"
    kept = tuple(text for n, text in enumerate(getattr(rationale, field), start=1) if n != int(number))
    return replace(rationale, open="", **{field: kept})


def _notices(history: Sequence[Item]) -> Iterator[str]:
    if len(history) > MAX_HISTORY:
        yield f"Only the newest {MAX_HISTORY} of {len(history):,} purchases are read."
    long = sum(len(item.title) > MAX_TITLE_CHARS for item in history[-MAX_HISTORY:])
    if long:
        which = f"{long} titles are" if long > 1 else "1 title is"
        yield f"{which} longer than {MAX_TITLE_CHARS} characters and shortened for the model."
