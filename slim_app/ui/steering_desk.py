"""What steering by rationale does to the explain tab. No layout; everything gives {component name: value}."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.explain import ground
from slim_app.rationale_edits import Edits, Part, as_rationale
from slim_app.recommenders.rankers import choose_ranker
from slim_app.recommenders.text_match import Ranker
from slim_app.schema import Mention, Recommendation, State
from slim_app.services import Services
from slim_app.steering import Steered, steer
from slim_app.ui import render_steer, words
from slim_app.ui import words_steer as said
from slim_app.ui.handlers import Handlers, Update
from slim_app.ui.render_steer import View

if TYPE_CHECKING:
    from slim_app.recommenders.trained import TrainedRanker

log = logging.getLogger(__name__)
DEFAULT_K = 10
"""For a run that was stopped or failed before it could list anything."""


@dataclass(frozen=True)
class Desk:
    """One visitor's text under edit: what their page's states hold."""

    written: State
    """The run as it ended; `Edits` are edits of its rationale."""
    edits: Edits
    own: Domain | None = None
    """The visitor's own catalogue."""
    weight: float | None = None
    """Of the reasoning in a fused list, when moved by hand (`Sides`)."""

    @property
    def k(self) -> int:
        return len(self.written.recommendations) or DEFAULT_K


class SteeringDesk:
    """Bound to one running app; holds nothing of any visitor."""

    def __init__(self, services: Services, handlers: Handlers) -> None:
        self.services, self.handlers = services, handlers

    def begin(self, state: State | None) -> Update:
        """A run has ended (or None: its result is gone): earlier edits are forgotten."""
        gone: Update = {"edits": None, "written": None, "steered": None}
        if state is None or not any(state.rationale.segments()):
            return gone
        desk = Desk(state, Edits.of(state.rationale))
        view = View(_known(state))
        return gone | {"edits": desk.edits, "written": state, "reasoning": _cards(desk, view, state)}

    def act(self, desk: Desk, steered: Steered | None, action: Mapping[str, Any]) -> Iterator[Update]:
        """One edit, undo, redo or reset, and the list that follows; `show`: the same once more."""
        try:
            edits = edited(desk.edits, action)
        except SlimError as error:
            influences = steered.influences if steered else None
            known = _known(desk.written)
            yield {"reasoning": _cards(desk, View(known, influences, error=str(error)), _whole(desk, steered, known))}
            return
        if edits is not desk.edits or action.get("act") == "show":
            yield from self.follow(replace(desk, edits=edits))

    def follow(self, desk: Desk, opening: bool = False) -> Iterator[Update]:
        """The page under these edits: the list at once; then its evidence, the marks, and what each segment does.

        `opening`: nothing was edited yet, so only what each segment does is new.
        """
        mentions, edits = _known(desk.written), desk.edits
        try:
            domain = self.services.domain(desk.written.domain, desk.own)
            desk = replace(desk, written=self._weighed(desk))
            ranker, seconds = self._ranker(desk, domain), None
            for steered in steer(edits, desk.written.history, domain, ranker, self.services.encoder, desk.k):
                seconds = steered.seconds if seconds is None else seconds
                if steered.done:
                    mentions = self._grounded(desk, domain, mentions)
                line = said.HINT if opening else _line(steered, seconds, edits.edited)
                if desk.written.ranker == "fused" and any(part.weight not in (0, 1) for part in edits.now):
                    line += f" {said.WEIGHTS_IN_LENS}"
                view = View(mentions, steered.influences if steered.done else None, line)
                state = _whole(desk, steered, mentions)
                update = {"reasoning": _cards(desk, view, state), "edits": edits, "steered": steered}
                if not opening:
                    update |= {"ranking": self._list(desk, state, steered), "result": state}
                if not opening or steered.done:
                    yield update
            if not opening:
                yield {"lens": state}
        except SlimError as error:
            yield self._failed(desk, mentions, str(error), opening)
        except Exception:
            log.exception("steering")
            yield self._failed(desk, mentions, words.FAULT, opening)

    def _failed(self, desk: Desk, mentions: render_steer.Mentions, error: str, opening: bool) -> Update:
        """No list under these edits; they stay, so that they can be undone."""
        if opening:  # the run's own list stands
            return {"reasoning": _cards(desk, View(mentions, (), error=error), desk.written)}
        state = replace(desk.written, rationale=desk.edits.rationale(), recommendations=(), grounding=())
        return {
            "reasoning": _cards(desk, View(mentions, (), error=error), state),
            "ranking": render_steer.nothing_left(error),
            "edits": desk.edits, "result": state, "steered": None, "lens": state,
        }  # fmt: skip

    def _weighed(self, desk: Desk) -> State:
        """The list as written, at the weight that the fusion lens stands at."""
        again = self.handlers.reweigh(desk.written, desk.weight) if desk.weight is not None else {}
        return again.get("result", desk.written)

    def _ranker(self, desk: Desk, domain: Domain) -> Ranker | TrainedRanker:
        ranker = choose_ranker(desk.written.ranker, domain)
        if desk.weight is None or desk.written.ranker != "fused":
            return ranker
        sides = ranker.sides(desk.written.history, desk.edits.rationale(), self.services.encoder)
        return replace(ranker, weight=sides.nearly_learned(desk.weight))

    def _list(self, desk: Desk, state: State, steered: Steered) -> str:
        if not desk.edits.edited:
            return self.handlers.finished(state)
        # on the page evidence goes by the keys of the segments above it
        shown = replace(state, recommendations=steered.recommendations)
        return render_steer.ranking(shown, steered, self.handlers.below(state))

    def _grounded(self, desk: Desk, domain: Domain, known: render_steer.Mentions) -> render_steer.Mentions:
        """What the segments name, those that were written by hand included."""
        new = [part for part in desk.edits.now if "added" in part.marks or "rewritten" in part.marks]
        found: dict[tuple[int, str], list[Mention]] = {}
        by_key = {key: part for part, key in zip(new, _renumbered(new).values(), strict=True)}
        for mention in ground(as_rationale(new), desk.written.history, domain, self.services.encoder):
            part = by_key[mention.key]
            found.setdefault((part.step, part.text), []).append(mention)
        return {**known, **found}


def edited(edits: Edits, action: Mapping[str, Any]) -> Edits:
    """The edits after what a button of the page asks for; the same where it asks for nothing known.

    Raises:
        SlimError: an unknown segment, no words, a full step, a bad weight.
    """
    act, key, text = action.get("act"), str(action.get("key")), action.get("text")
    if act == "strike":
        return edits.strike(key)
    if act == "restore":
        return edits.weigh(key, 1)
    if act == "weigh":
        return edits.weigh(key, _number(action.get("weight")))
    if act == "rewrite":
        return edits.rewrite(key, text)
    if act == "add":
        return edits.add(_number(action.get("step")), text)
    return {"undo": edits.undo, "redo": edits.redo, "reset": edits.reset}.get(act, lambda: edits)()


def _whole(desk: Desk, steered: Steered | None, mentions: render_steer.Mentions) -> State:
    """What the page shows: the run with the edited text and its list, for downloads and the lens."""
    edits, written = desk.edits, desk.written
    if not edits.edited or steered is None:
        return written
    kept = [part for part in edits.now if part.weight > 0]
    keys, note = _renumbered(kept), said.EDITED.format(count=render_steer.edit_count(edits))
    if [(p.step, p.text) for p in kept] != [(p.step, p.text) for p in edits.start]:  # not weighed only
        note += said.OTHER_TEXT
    return replace(
        written, rationale=edits.rationale(),
        recommendations=tuple(_with_key(r, keys) for r in steered.recommendations),
        grounding=tuple(replace(m, key=keys[p.key]) for p in kept for m in mentions.get((p.step, p.text), ())),
        notices=(*written.notices, note),
    )  # fmt: skip


def _number(value: object) -> object:
    """A page sends text; what is no number is refused where it is used."""
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _cards(desk: Desk, view: View, state: State) -> str:
    """Figures, notes and status are those of the run; the counts of names follow the edits."""
    return render_steer.reasoning(replace(desk.written, grounding=state.grounding), desk.edits, view)


def _known(written: State) -> render_steer.Mentions:
    texts = {segment.key: (segment.step, segment.text) for segment in written.rationale.segments()}
    found: dict[tuple[int, str], list[Mention]] = {}
    for mention in written.grounding:
        if (mentions := found.setdefault(texts[mention.key], [])) and mentions[0].key != mention.key:
            continue  # the same words twice name the same things
        mentions.append(mention)
    return found


def _renumbered(parts: list[Part]) -> dict[str, str]:
    """A segment's key among the edits → its key in the rationale of these segments alone."""
    seen = {1: 0, 2: 0, 3: 0}
    keys = {}
    for part in parts:
        seen[part.step] += 1
        keys[part.key] = f"{part.step}.{seen[part.step]}"
    return keys


def _with_key(found: Recommendation, keys: Mapping[str, str]) -> Recommendation:
    if found.evidence is None:
        return found
    return replace(found, evidence=replace(found.evidence, key=keys.get(found.evidence.key, found.evidence.key)))


def _line(steered: Steered, seconds: float, is_edited: bool) -> str:
    """How fast the list followed, and how much of it moved."""
    ms, k = max(1, round(1000 * seconds)), len(steered.recommendations)
    if not is_edited:
        return said.AS_BEFORE.format(ms=ms)
    new = sum(shift.before > k for shift in steered.shifts)
    moved = sum(shift.before <= k and shift.delta != 0 for shift in steered.shifts)
    return said.RANKED.format(ms=ms, new=new, moved=moved)
