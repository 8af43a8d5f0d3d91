"""What the compare tab does: choosing writers and purchases, running them side by side. No layout.

Handlers return {component name: value}. The true state of a comparison stays on its desk; what is returned is drawn
from `Desk.shown`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from slim_app.compare import Run
from slim_app.compare_state import Side, sample_of
from slim_app.domain import Domain
from slim_app.errors import SlimError
from slim_app.explain import ground
from slim_app.prices import list_price
from slim_app.reasoners.base import Reasoner
from slim_app.reasoners.live_teacher import call_estimate, live_teacher
from slim_app.recommenders.rankers import choose_ranker
from slim_app.schema import Item, Mention, Shopper, shown
from slim_app.services import Services
from slim_app.ui import render, render_compare, render_summary
from slim_app.ui import words_compare as said
from slim_app.ui.desks import Desk, Desks
from slim_app.ui.escape import esc

log = logging.getLogger(__name__)
ORDER = ("teacher", "recorded", "student", "base")
"""From left to right."""
FIRST_CHOICE = ("recorded", "student", "base", "teacher")
OWN = "own"
Update = dict[str, Any]


@dataclass(frozen=True)
class TeacherFields:
    """What a visitor typed; blank fields stand for the app's own teacher."""

    url: str = ""
    model: str = ""
    key: str = ""

    def __repr__(self) -> str:
        return "TeacherFields()"


class CompareHandlers:
    """Bound to one running app."""

    def __init__(self, services: Services) -> None:
        self.services, self.desks = services, Desks()

    # -- who and whose ------------------------------------------------------------------------------------------------

    def writers(self, name: str, history: Sequence[Item]) -> list[str]:
        """Ids of the writers that can take part for these purchases, from left to right."""
        sample = sample_of(self.services.samples(name), history)
        can = {
            "teacher": "teacher" in self.services.reasoners or self.services.reach != "off",
            "recorded": bool(sample and sample.step1 and name in self.services.recorded),
        }
        return [writer for writer in ORDER if can.get(writer, writer in self.services.reasoners)]

    def preset(self, name: str, history: Sequence[Item]) -> list[str]:
        """The two that are chosen at first."""
        can = self.writers(name, history)
        first = [writer for writer in FIRST_CHOICE if writer in can][:2]
        return [writer for writer in ORDER if writer in first]

    def sample(self, name: str, shopper_id: str | None = None) -> Shopper | None:
        """A sample shopper of a catalogue by id, else its first one."""
        found = self.services.samples(name)
        return next((s for s in found if s.shopper_id == shopper_id), found[0] if found else None)

    def history_of(self, name: str, sample: Shopper | None) -> list[Item]:
        return self.services.domain(name).history(sample) if sample else []

    def estimate(self, history: Sequence[Item], picked: Sequence[str], url: str, model: str) -> str:
        """What one text of the live teacher will cost, before it is asked; empty where it is not chosen."""
        if "teacher" not in picked or not history or not (url.strip() or self.services.teacher_url):
            return ""
        if not model.strip() and (url.strip() or "teacher" not in self.services.reasoners):
            return ""
        try:
            found = call_estimate(self._teacher(TeacherFields(url, model), asks=False), list(shown(history)))
        except SlimError as error:
            return render.error(error)
        if found.usual is None or found.most is None:
            text = said.ESTIMATE_UNKNOWN.format(
                prompt=found.prompt_tokens, answer=found.answer_tokens, source=esc(found.source)
            )
        else:
            text = said.ESTIMATE.format(usual=found.usual, most=found.most, source=esc(found.source))
        return f'<p class="fine">{text}</p>'

    def _teacher(self, fields: TeacherFields, asks: bool = True) -> Reasoner:
        """`asks` False: for an estimate, which needs no key."""
        key = fields.key if asks or ("teacher" in self.services.reasoners and not fields.model.strip()) else "none"
        return live_teacher(
            fields.url, fields.model, key, reach=self.services.reach, default_url=self.services.teacher_url,
            default=self.services.reasoners.get("teacher"),
        )  # fmt: skip

    def side(self, writer: str, name: str, fields: TeacherFields | None = None) -> Side:
        """A writer with its price; `fields` None: the app's own teacher."""
        if writer == "teacher" and fields is not None:
            teacher = self._teacher(fields)
            return Side(teacher, writer, list_price(teacher.info.base), visitors=bool(fields.url.strip()))
        return side_of(self.services, writer, name)

    # -- running ------------------------------------------------------------------------------------------------------

    def run(
        self, history: list[Item], name: str, own: Domain | None, picked: Sequence[str], ranker: str, k: int,
        blind: bool, diff: bool, fields: TeacherFields, session: str | None,
    ) -> Iterator[Update]:  # fmt: skip
        """Stream one comparison into the page."""
        try:
            if name == OWN and own is None:
                raise SlimError(said.NO_CATALOGUE)
            domain, sample = self.services.domain(name, own), sample_of(self.services.samples(name), history)
            sides = [self.side(writer, name, fields) for writer in ORDER if writer in picked]
            run = Run(
                sides, history, domain, self.services.encoder, choose_ranker(ranker, domain),
                held_out=sample.next if sample else "", k=k, blind=blind,
            )  # fmt: skip
        except SlimError as error:
            yield {"message": render.error(error), "running": False}
            return
        desk = Desk(run, tuple(history), domain, sample, ranker, diff=diff)
        self.desks.put(session, desk)
        yield {"message": "", "ballot": "", "lists": "", "running": True, "keep": sample is None}
        try:
            with closing(run.states()) as states:
                last: Update = {}
                for state in states:
                    if self.desks.of(session) is not desk:
                        return  # this visitor has begun another one
                    desk.state = state
                    if state.comparison is not None:
                        desk.marks = {side.key: self._marks(desk, side.rationale) for side in state.sides}
                    now = self.drawn(desk)
                    yield {part: value for part, value in now.items() if last.get(part) != value}
                    last = now
            yield {"running": False, **self.drawn(desk)}  # whole: a vote may have come in between
        except Exception:
            log.exception("comparing")
            yield {"message": render.error(said.FAULT), "running": False}
        finally:
            desk.run = None  # with it goes a visitor's key

    def drawn(self, desk: Desk) -> Update:
        """The whole comparison as it may be shown now."""
        state = desk.shown
        marks = {side: _by_key(found) for side, found in desk.marks.items()}
        return {
            "heads": render_compare.heads(state),
            "summary": render_summary.summary(state),
            "steps": render_compare.steps(state, marks, desk.diff),
            "lists": render_compare.lists(state),
        }

    def show_diff(self, session: str | None, diff: bool) -> Update:
        """Word by word or plain, from now on."""
        desk = self.desks.of(session)
        if desk is None or desk.state is None:
            return {}
        desk.diff = diff
        return {"steps": self.drawn(desk)["steps"]}

    def stop(self, session: str | None, key: str | None = None) -> None:
        """End one side, or all."""
        desk = self.desks.of(session)
        if desk is not None and desk.run is not None:
            desk.run.stop(key)

    def _marks(self, desk: Desk, rationale) -> tuple[Mention, ...]:
        return ground(rationale, desk.history, desk.domain, self.services.encoder)


def side_of(services: Services, writer: str, domain: str) -> Side:
    """One of the app's own writers with its price, as far as that is known.

    Raises:
        SlimError: there is no such writer here.
    """
    reasoner = services.reasoner(writer, domain)
    if writer == "teacher":
        return Side(reasoner, writer, list_price(reasoner.info.base))
    embedded = getattr(reasoner, "engine", None) is not None  # a student on a server runs on another machine
    return Side(reasoner, writer, services.machine if embedded else None)


def _by_key(mentions: Sequence[Mention]) -> dict[str, list[Mention]]:
    found: dict[str, list[Mention]] = {}
    for mention in mentions:
        found.setdefault(mention.key, []).append(mention)
    return found
