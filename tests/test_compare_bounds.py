"""The compare tab at its edges: figures that must agree with each other, votes in a moved file, endless lists."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from conftest import TINY, FakeEncoder, make_domain

from slim_app.compare import Run
from slim_app.compare_state import Side
from slim_app.errors import SlimError
from slim_app.recommenders.text_match import get_ranker
from slim_app.text_diff import MOST_PIECES, diff_words
from slim_app.ui import render_summary
from slim_app.ui import words_compare as said
from slim_app.vote_tally import Tally
from slim_app.votes import Vote, Votes
from tests.writers import GOOD, OTHER, Scripted

VOTE = Vote(
    "c0", "2025-01-01T00:00:00.000+00:00", "A", "", True, 7, "Teacher", "live", "gpt", "finished", "a text",
    "Student", "live", "smol", "finished", "b text", "games", "s1", ("Gran Turismo 7",),
)  # fmt: skip


def test_what_is_in_the_history_is_what_was_bought_already() -> None:
    encoder = FakeEncoder(dimension=16)
    domain = make_domain(TINY, encoder)
    # both texts name Forza Horizon 5, one by its title in the catalogue, one by its short name
    run = Run([Side(Scripted(GOOD)), Side(Scripted(OTHER))], [TINY[2]], domain, encoder, get_ranker("reasoning"),
              held_out="G8", k=3)  # fmt: skip
    *_, state = run.states()
    for summary in state.comparison.sides:
        assert summary.products["history"] == 1 and summary.repeated_products == 0.2
    assert state.comparison.ranked == len(TINY) - 1, "all products but the one that was bought"
    drawn = render_summary.summary(state)
    assert drawn.count(" of 7</b>") == 2 and said.PERCENT.format(share=0.2) in drawn


def test_votes_go_on_after_their_file_was_moved_away(tmp_path: Path) -> None:
    votes = Votes(tmp_path / "data")
    votes.add(VOTE)
    (tmp_path / "data").rename(tmp_path / "kept")  # as the messages advise, while the app runs
    votes.add(replace(VOTE, comparison="c1", verdict="B"))
    assert [vote.verdict for vote in votes.all()] == ["B"] and len(Votes(tmp_path / "kept").all()) == 1


def test_a_cell_that_is_no_list_is_a_damaged_file(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    votes.add(VOTE)
    with votes._open() as db:
        db.execute("UPDATE votes SET history = 'x'")
    try:
        votes.all()
    except SlimError as error:
        assert "cannot be read" in str(error)
    else:
        raise AssertionError("a damaged cell was read")


def test_a_thousand_names_do_not_fill_the_page() -> None:
    most = render_summary.MOST_PAIRS
    found = [Tally(f"<b>Name {n}", "Student (live)", False, 1, 0, 0, 0) for n in range(most + 5)]
    html = render_summary.tallies(found)
    assert html.count("<tr>") == most + 1 and said.TALLY_MORE.format(count=5) in html and "<b>Name" not in html
    assert said.TALLY_MORE.format(count=5) not in render_summary.tallies(found[:most])


def test_a_writer_that_repeats_one_word_does_not_stop_the_page() -> None:
    start = time.perf_counter()
    pieces = diff_words("a " * (MOST_PIECES // 2), "a b " * (MOST_PIECES // 4))
    assert len(pieces) > 1 and time.perf_counter() - start < 1.5  # 0.3 s on two slow cores; cubic in MOST_PIECES
