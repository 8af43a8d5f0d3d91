"""What can be asked of the result on the page: who would write, and which text there is already."""

from __future__ import annotations

from dataclasses import dataclass

from slim_app.schema import Item, Rationale, State
from slim_app.services import Services
from slim_app.ui import words
from slim_app.ui import words_what_if as said

LIVE = ("student", "free", "base", "teacher")
"""Who stands in for a text that nobody can write anew: the first that there is."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A finished run. Compared as the object it is, so that each new run is another one."""

    state: State


@dataclass(frozen=True)
class Plan:
    """What the panel asks about, for one visitor."""

    state: State
    writer: str = ""
    """Id of who writes; empty for a ranker that reads no text."""
    old: Rationale | None = None
    """What this writer has written about the history; None: it must be written first."""
    note: str = ""
    """One sentence for the person; empty where nothing needs to be said."""
    refused: bool = False
    """True where nobody can write: then only faithfulness can be computed."""
    label: str = said.RUN
    """Of the button that explains again."""

    @property
    def history(self) -> tuple[Item, ...]:
        return self.state.history

    @property
    def k(self) -> int:
        return len(self.state.recommendations)

    @property
    def writes(self) -> bool:
        return bool(self.writer)


def plan_of(services: Services, state: State, reads_text: bool) -> Plan:
    """Who writes about other purchases, for a finished run.

    `reads_text`: whether the result's ranker uses a rationale.
    """
    if not reads_text:
        return Plan(state, old=Rationale(), note=said.NO_TEXT, label=said.RUN_HISTORY)
    writer = _writer(services, state)
    if writer:
        finished = state.status == "done" and any(state.rationale.segments())
        note = said.LEARNED_WEIGHT if state.ranker == "fused" else ""
        return Plan(state, writer, state.rationale if finished else None, note if finished else said.UNFINISHED)
    writer = next((writer for writer in LIVE if writer in services.reasoners), "")
    if not writer:
        return Plan(state, note=said.NO_WRITER.format(why=services.missing).strip(), refused=True)
    note = said.RECORDED if state.model.kind == "recorded" else said.OTHER_TEXT
    return Plan(state, writer, note=note.format(writer=words.WRITERS[writer]), label=said.RUN_BOTH)


def _writer(services: Services, state: State) -> str:
    """Id of the live writer of a result's text; empty where it was none of this app."""
    if state.model.kind != "live":
        return ""
    same = [writer for writer, reasoner in services.reasoners.items() if reasoner.info == state.model]
    return state.writer if state.writer in services.reasoners else next(iter(same), "")
