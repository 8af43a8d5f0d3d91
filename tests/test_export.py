"""Results as files."""

from __future__ import annotations

import csv
import io
import json

import pytest

from slim_app.export import to_csv, to_json
from slim_app.rationale import parse
from slim_app.schema import Evidence, Mention, ModelInfo, Recommendation, RunStats, State
from slim_app.ui.render_rationale import reasoning

WINNER = Evidence("3.2", 3, 'Quotes "here", commas\nand lines', 0.5, 7)
ALONE = Evidence("0.1", 0, "Lamp", 1.0, None)
STATE = State(
    "done",
    parse("Step 1: Déjà vu 任天堂 🎮.\nStep 2:\n1. A\nStep 3:\n1. B"),
    (
        Recommendation(1, "G1", "Gran Turismo 7, “PS5”", 0.8123, "Sony", "Racing", WINNER),
        Recommendation(2, "G2", "任天堂 🎮", 0.5, evidence=ALONE),
        Recommendation(3, "G3", "Plain", -0.25, rank_sequence=12, rank_reasoning=1),
    ),
    (Mention("3.1", "B", "product", "missing"), Mention("2.1", "A", "brand", "history", "A", 1.0)),
    RunStats(tokens=3, seconds=2.0, first_token_seconds=1.0, finish_reason="stop"),
    ModelInfo("Writer"),
    ("A notice.",),
    domain="games",
    ranker="reasoning",
)


def test_csv_parses_back():
    rows = list(csv.DictReader(io.StringIO(to_csv(STATE))))
    assert list(rows[0].values()) == [
        "1", "G1", "Gran Turismo 7, “PS5”", "Sony", "Racing", "0.8123", "3", WINNER.text, "0.5", "7", "", "",
    ]  # fmt: skip
    assert rows[1]["title"] == "任天堂 🎮"
    assert (rows[1]["evidence"], rows[1]["evidence_step"], rows[1]["rank_without_evidence"]) == ("Lamp", "0", "")
    assert (rows[2]["score"], rows[2]["evidence"]) == ("-0.25", "")
    assert (rows[2]["rank_sequence"], rows[2]["rank_reasoning"]) == ("12", "1")
    assert len(rows) == 3


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_would_run_as_formulas_are_quoted(start):
    evil = f"{start}cmd|' /C calc'!A0"
    evidence = Evidence("2.1", 2, evil, 0.1, 2)
    text = to_csv(State("done", recommendations=(Recommendation(1, evil, evil, 0.5, evil, evil, evidence),)))
    (row,) = csv.DictReader(io.StringIO(text, newline=""))
    assert [row[name] for name in ("id", "title", "brand", "category", "evidence")] == [f"'{evil}"] * 5
    assert float(row["score"]) == 0.5


def test_csv_of_nothing_is_its_header():
    assert to_csv(State("failed")).splitlines() == [
        "rank,id,title,brand,category,score,evidence_step,evidence,evidence_similarity,rank_without_evidence,"
        "rank_sequence,rank_reasoning"
    ]


def test_json_is_what_the_api_returns():
    text = to_json(STATE)
    assert json.loads(text) == json.loads(json.dumps(STATE.as_dict()))
    assert "Déjà vu 任天堂 🎮" in text, "readable as it is"
    found = json.loads(text)
    assert found["rationale"]["step3"] == ["B"]
    assert found["grounding"]["counts"] == {"history": 1, "catalogue": 0, "near": 0, "missing": 1}
    assert found["recommendations"][0]["evidence"]["rank_without"] == 7
    assert found["stats"]["tokens_per_second"] == 2.0
    assert found["model"]["name"] == "Writer"


def test_a_replay_never_passes_for_a_measured_speed() -> None:
    stats = RunStats(tokens=90, seconds=1.1, first_token_seconds=0.1)
    for kind, measured in (("live", True), ("recorded", False)):
        state = State("done", stats=stats, model=ModelInfo("writer", kind=kind), rationale=parse("Step 1: You read."))
        assert state.as_dict()["stats"]["measured"] is measured
        assert ("tokens/s" in reasoning(state)) is measured
