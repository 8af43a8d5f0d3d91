"""Voting on a comparison: the verdict, the names that appear with it, the tally, and the votes as files."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import weakref
from functools import cached_property
from pathlib import Path

from slim_app.errors import SlimError
from slim_app.ui import render, render_summary
from slim_app.ui import words_compare as said
from slim_app.ui.comparing import CompareHandlers, Update
from slim_app.ui.escape import bdi
from slim_app.vote_export import votes_to_csv, votes_to_json, votes_to_llm_comparator
from slim_app.votes import Votes, vote_on

FILES = {"csv": "slim-votes.csv", "json": "slim-votes.json", "llm": "slim-votes-llm-comparator.json"}
Pairs = list[tuple[str, str]]


class Ballots:
    """Bound to one running app."""

    def __init__(self, handlers: CompareHandlers) -> None:
        self.handlers = handlers

    @cached_property
    def votes(self) -> Votes:
        """Opened at the first use: a folder that cannot be written must not keep the app from starting."""
        return Votes(self.handlers.services.data)

    @cached_property
    def _folder(self) -> Path:
        """For files on their way to a browser; gone with the app."""
        folder = tempfile.mkdtemp(prefix="slim-votes-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return Path(folder)

    def vote(self, session: str | None, verdict: str, comment: str, keep: bool) -> Update:
        """Count a verdict, then show who was who. `keep`: texts and purchases of an own history, too."""
        desk = self.handlers.desks.of(session)
        if desk is None or desk.state is None:
            return {"ballot": render.error(said.NO_RUN)}
        sample = desk.sample.shopper_id if desk.sample else ""
        try:
            vote = vote_on(
                desk.state, verdict, comment, desk.history, desk.domain.name, sample, keep_texts=bool(sample) or keep
            )
            self.votes.add(vote)
        except SlimError as error:
            return {"ballot": render.error(error)}
        desk.voted = True
        a, b = (bdi(side.name) for side in desk.state.sides)
        text = said.VOTED.format(verdict=said.VERDICTS[verdict], a=a, b=b)
        counted = f'<p class="notice" role="status">{text}</p>'
        return {**self.handlers.drawn(desk), "ballot": counted, "comment": "", **self.tally()}

    def tally(self) -> Update:
        """All votes, and the pairs that can be exported for LLM Comparator."""
        try:
            found = self.votes.tallies()
        except SlimError as error:
            return {"tallies": render.error(error)}
        shown = found[: render_summary.MOST_PAIRS]
        pairs: Pairs = list(dict.fromkeys((tally.first, tally.second) for tally in shown))
        return {"tallies": render_summary.tallies(found), "pairs": pairs}

    def export(self, kind: str, pair: tuple[str, str] | None) -> Update:
        """The votes as a file; `pair` is needed for LLM Comparator alone."""
        try:
            votes = self.votes.all()
            if kind == "llm":
                if pair is None:
                    raise SlimError(said.NO_PAIR)
                text = votes_to_llm_comparator(votes, *pair)
            else:
                text = votes_to_csv(votes) if kind == "csv" else votes_to_json(votes)
        except SlimError as error:
            return {"file": None, "export_message": render.error(error)}
        mine = hashlib.sha256(repr(pair if kind == "llm" else "").encode()).hexdigest()[:12]
        file = self._folder / mine / FILES[kind]
        file.parent.mkdir(exist_ok=True)
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="", dir=file.parent, delete=False) as out:
            out.write(text)
        os.replace(out.name, file)
        return {"file": str(file), "export_message": ""}
