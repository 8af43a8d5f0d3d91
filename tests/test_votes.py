"""Votes in SQLite: many processes and threads at once, kill -9, exports that others read."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slim_app.compare_state import CompareState, SideState
from slim_app.errors import SlimError
from slim_app.rationale import parse
from slim_app.schema import Item, ModelInfo
from slim_app.vote_export import NOT_KEPT, votes_to_csv, votes_to_json, votes_to_llm_comparator
from slim_app.vote_tally import Tally, add_up, wilson
from slim_app.votes import MAX_COMMENT, MAX_TEXT, Vote, Votes, vote_on
from tests.writers import GOOD, OTHER

ROOT = Path(__file__).resolve().parent.parent
HISTORY = [Item("G1", "Gran Turismo 7"), Item("", "=HYPERLINK(\u202e)")]
VOTE = Vote(
    "c0", "2025-01-01T00:00:00.000+00:00", "A", "", True, 7, "Teacher", "live", "gpt · prompt 1", "finished", "a text",
    "Student", "live", "smol · adapter.gguf · prompt 1", "finished", "b text", "games", "s1", ("Gran Turismo 7",),
)  # fmt: skip
TEACHER, STUDENT = "Teacher (live)", "Student (live)"
FLIPPED = replace(
    VOTE, **{f"{x}_{name}": getattr(VOTE, f"{y}_{name}") for x, y in ("ab", "ba")
             for name in ("name", "kind", "version", "status", "text")},
)  # fmt: skip


def state(comparison: str = "c1", text: str = GOOD, **info) -> CompareState:
    models = ModelInfo("Teacher", base="gpt", prompt_version="1", **info), ModelInfo("Student", adapter="/srv/x/a.gguf")
    sides = tuple(
        SideState(key, "", "live", model, "finished", written, parse(written))
        for key, model, written in zip("AB", models, (text, OTHER), strict=True)
    )
    return CompareState(comparison, sides, blind=True, seed=7)


def cast(verdict: str = "A", comment: str = "", keep: bool = True, **more) -> Vote:
    return vote_on(state(**more), verdict, comment, HISTORY, "games", "s1", keep)


def child(folder: Path, code: str) -> subprocess.Popen:
    script = (
        "from pathlib import Path\nfrom dataclasses import replace\nfrom slim_app.votes import Vote, Votes\n"
        f"VOTE = {VOTE!r}\nvotes = Votes(Path({str(folder)!r}))\n{code}"
    )
    return subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)


# ---- storing --------------------------------------------------------------------------------------------------------


def test_a_vote_comes_back_as_it_was_cast(tmp_path: Path) -> None:
    vote = cast("both_bad", "  Neither\u202e.\r\nReally \x00not. ' \"; DROP TABLE votes; -- 任天堂 🎮 \ud800")
    Votes(tmp_path / "new").add(vote)
    (found,) = Votes(tmp_path / "new").all()
    assert found == vote and found.blind is True and found.seed == 7
    assert found.comment == "Neither.\nReally not. ' \"; DROP TABLE votes; -- 任天堂 🎮"
    assert found.history == ("Gran Turismo 7", "=HYPERLINK()") and found.a_text == GOOD
    assert (found.a_version, found.b_version) == ("gpt · prompt 1", "a.gguf"), "no path of the server"


def test_a_visitors_own_purchases_are_not_kept_unless_wished() -> None:
    vote = cast(keep=False)
    assert (vote.history, vote.a_text, vote.b_text) == ((), "", "") and vote.verdict == "A"
    assert NOT_KEPT in votes_to_llm_comparator([vote], TEACHER, STUDENT)


def test_a_name_that_a_visitor_gave_is_marked() -> None:
    shown = state()
    sides = (replace(shown.sides[0], visitors=True), shown.sides[1])
    vote = vote_on(replace(shown, sides=sides), "A", "", HISTORY, "games", "", True)
    assert vote.writers == ("Teacher [named by a visitor] (live)", STUDENT)


def test_what_cannot_be_counted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SlimError, match=r"Unknown verdict “C”\. Choose one of: A, B, tie, both_bad"):
        cast("C")
    with pytest.raises(SlimError, match="Shorten it"):
        cast(comment="x" * (MAX_COMMENT + 1))
    three = state()
    with pytest.raises(SlimError, match="two writers"):
        vote_on(replace(three, sides=(*three.sides, three.sides[0])), "A", "", HISTORY, "games", "", True)
    assert len(cast(text="y" * 3 * MAX_TEXT).a_text) <= MAX_TEXT
    votes = Votes(tmp_path)
    votes.add(VOTE)
    with pytest.raises(SlimError, match="counted already"):
        votes.add(replace(VOTE, verdict="B"))
    monkeypatch.setattr("slim_app.votes.MAX_VOTES", 1)
    with pytest.raises(SlimError, match="no more fit"):
        votes.add(replace(VOTE, comparison="c9"))
    assert [vote.verdict for vote in votes.all()] == ["A"]


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    damaged, newer, blocked = (tmp_path / name for name in ("damaged", "newer", "file"))
    damaged.mkdir()
    (damaged / "votes.sqlite3").write_bytes(b"not a database " * 400)
    with pytest.raises(SlimError, match=r"damaged/votes\.sqlite3 cannot be read"):
        Votes(damaged)
    Votes(newer)
    with sqlite3.connect(newer / "votes.sqlite3") as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    with pytest.raises(SlimError, match="newer version"):
        Votes(newer)
    blocked.write_text("")
    with pytest.raises(SlimError, match="--data"):
        Votes(blocked / "data")


def test_threads_vote_at_once(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: votes.add(replace(VOTE, comparison=f"c{n}")), range(40)))
    assert len({vote.comparison for vote in votes.all()}) == 40


def test_two_processes_start_and_vote_at_once(tmp_path: Path) -> None:
    code = "for n in range(30): votes.add(replace(VOTE, comparison=f'{NAME}{n}', verdict=NAME))"
    both = [child(tmp_path, f"NAME = {name!r}\n{code}") for name in "AB"]
    assert [process.wait(60) for process in both] == [0, 0]
    (tally,) = Votes(tmp_path).tallies()
    assert (tally.wins_first, tally.wins_second, tally.n) == (30, 30, 60)
    for process in both:
        process.stdout.close()


def test_no_vote_that_was_counted_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    code = "for n in range(10**6):\n votes.add(replace(VOTE, comparison=f'c{n}')); print(n, flush=True)"
    process = child(tmp_path, code)
    counted = [int(process.stdout.readline()) for _ in range(20)]
    os.kill(process.pid, signal.SIGKILL)
    counted += [int(line) for line in process.stdout.read().split("\n")[:-1]]
    process.wait(10)
    process.stdout.close()
    votes = Votes(tmp_path)
    stored = [vote.comparison for vote in votes.all()]
    assert stored[: len(counted)] == [f"c{n}" for n in counted] and len(stored) - len(counted) <= 1
    votes.add(replace(VOTE, comparison="after"))
    db = sqlite3.connect(votes.file)
    assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


# ---- adding up ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wins", "n", "low", "high"),
    [
        (8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0),
        (50, 100, 0.4038, 0.5962)],
)
def test_wilson_by_published_values(wins: int, n: int, low: float, high: float) -> None:
    assert wilson(wins, n) == pytest.approx((low, high), abs=1e-4)


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_mirrors(drawn: tuple[int, int]) -> None:
    wins, n = drawn
    low, high = wilson(wins, n)
    assert 0 <= low <= wins / n + 1e-12 and wins / n - 1e-12 <= high <= 1
    assert wilson(n - wins, n) == pytest.approx((1 - high, 1 - low))


def test_a_tally_counts_writers_and_not_places(tmp_path: Path) -> None:
    votes = Votes(tmp_path)
    cast = [(VOTE, "A"), (FLIPPED, "B"), (FLIPPED, "A"), (VOTE, "tie"), (FLIPPED, "both_bad")]
    for n, (vote, verdict) in enumerate(cast):
        votes.add(replace(vote, comparison=f"c{n}", verdict=verdict))
    votes.add(replace(VOTE, comparison="seen", blind=False, verdict="B"))
    blind, seen = votes.tallies()
    assert blind == Tally(STUDENT, TEACHER, True, wins_first=1, wins_second=2, ties=1, both_bad=1)
    assert (blind.n, blind.decided) == (5, 3) and blind.win_rate == pytest.approx(1 / 3)
    assert blind.interval == wilson(1, 3) and (seen.n, seen.wins_first) == (1, 1)
    assert add_up((*v.writers, v.blind, v.verdict, 1) for v in votes.all()) == [blind, seen]
    ties = Tally("a", "b", True, 0, 0, 4, 1)
    assert ties.win_rate is None and ties.interval is None and ties.as_dict()["low"] is None
    json.dumps(blind.as_dict())


# ---- files ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝"])
def test_no_cell_of_the_csv_runs_as_a_formula(start: str) -> None:
    evil = f"{start}cmd|' /C calc'!A0"
    vote = replace(VOTE, comment=evil, a_name=evil, b_text=evil, history=(evil, "x"), domain=evil)
    (row,) = csv.DictReader(io.StringIO(votes_to_csv([vote]), newline=""))
    assert [row[name] for name in ("comment", "a_name", "b_text", "domain")] == [f"'{evil}"] * 4
    assert row["history"] == f"'{evil} | x" and row["verdict"] == "A" and row["blind"] == "True"


def test_the_json_holds_everything() -> None:
    found = json.loads(votes_to_json([VOTE, replace(FLIPPED, comparison="c1")]))
    assert found["schema_version"] == 1 and [vote["comparison"] for vote in found["votes"]] == ["c0", "c1"]
    assert found["votes"][0]["history"] == ["Gran Turismo 7"] and found["tallies"][0]["n"] == 2
    assert json.loads(votes_to_json([]))["votes"] == []


REQUIRED: dict[str, Any] = {
    "input_text": str, "tags": list, "output_text_a": str, "output_text_b": str, "score": float,
    "individual_rater_scores": list, "custom_fields": dict,
}  # fmt: skip
TYPES = {
    "number", "string", "category", "text", "url", "image_path", "image_byte", "per_model_boolean", "per_model_number",
    "per_model_category", "per_model_text", "per_rating_string", "per_rating_per_model_category",
}  # fmt: skip
"""FieldType of LLM Comparator's client/lib/types.ts."""


def test_llm_comparator_can_load_the_votes() -> None:
    cast = [(VOTE, "A"), (FLIPPED, "A"), (VOTE, "tie"), (FLIPPED, "both_bad"), (replace(VOTE, a_name="Other"), "A")]
    votes = [replace(vote, verdict=verdict, comparison=str(n)) for n, (vote, verdict) in enumerate(cast)]
    found = json.loads(votes_to_llm_comparator(votes, TEACHER, STUDENT))
    assert found["models"] == [{"name": TEACHER}, {"name": STUDENT}] and found["metadata"]["source_path"]
    schema = {field["name"]: field["type"] for field in found["metadata"]["custom_fields_schema"]}
    assert set(schema.values()) <= TYPES and len(found["examples"]) == 4, "votes on another pair are left out"
    for example in found["examples"]:
        assert all(isinstance(example[name], kind) for name, kind in REQUIRED.items())
        assert -1.5 <= example["score"] <= 1.5 and example["tags"] == ["games"]
        assert (example["output_text_a"], example["output_text_b"]) == ("a text", "b text")
        assert example["custom_fields"].keys() == schema.keys()
        for name, kind in schema.items():
            value = example["custom_fields"][name]
            per_model = kind.startswith("per_model")
            assert (isinstance(value, list) and len(value) == 2) if per_model else isinstance(value, str)
        (rating,) = example["individual_rater_scores"]
        assert rating.keys() == {"score", "rating_label", "is_flipped", "rationale", "custom_fields"}
        assert rating["score"] == example["score"]
    assert [example["score"] for example in found["examples"]] == [0.75, -0.75, 0.0, 0.0]
    ratings = [example["individual_rater_scores"][0] for example in found["examples"]]
    assert [rating["rating_label"] for rating in ratings] == ["A", "B", "tie", "both_bad"]
    assert [rating["is_flipped"] for rating in ratings] == [False, True, False, True]
    mirrored = json.loads(votes_to_llm_comparator(votes, STUDENT, TEACHER))
    assert [example["score"] for example in mirrored["examples"]] == [-0.75, 0.75, 0.0, 0.0]
    assert max(abs(example["score"]) for example in found["examples"]) < 1.0, "else taken for a scale of 1 to 5"
    with pytest.raises(SlimError, match="no vote on"):
        votes_to_llm_comparator(votes, TEACHER, "Nobody (live)")
