"""The endpoint `/steer`: edits of a rationale, the list that follows, and sentences for wrong arguments."""

from __future__ import annotations

import json

import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from slim_app.rationale import format_rationale

TEXT = format_rationale("You race.", ["Racing Wheels", "Rally"], ["Forza Horizon 5", "F1 23"])


@pytest.fixture(scope="module")
def client(app_url: str) -> Client:
    return Client(app_url, verbose=False)


def test_the_endpoint_steers(client: Client) -> None:
    ranked = client.predict(TEXT, "games", ["G311"], 5, api_name="/rank")["recommendations"]
    plain = client.predict(TEXT, [], ["G311"], "games", k=5, api_name="/steer")
    assert [r["id"] for r in plain["recommendations"]] == [r["id"] for r in ranked]
    assert {r["delta"] for r in plain["recommendations"]} == {0} and plain["left"] == []
    assert [i["key"] for i in plain["influences"]] == ["1.1", "2.1", "2.2", "3.1", "3.2"]
    edits = [{"key": "3.1", "weight": 0}, {"key": "2.1", "text": "Farming Sims", "weight": 2},
             {"key": "+1", "step": 3, "text": "Stardew Valley"}]  # fmt: skip
    for given in (edits, json.dumps(edits)):
        steered = client.predict(TEXT, given, ["G311"], "games", k=5, api_name="/steer")
        marks = {s["key"]: s["marks"] for s in steered["segments"]}
        assert marks["3.1"] == ["struck"] and marks["2.1"] == ["rewritten", "weighted"] and marks["+1"] == ["added"]
        assert all(r["delta"] == r["before"] - r["rank"] for r in steered["recommendations"])
        assert steered["left"] and all(row["after"] > 5 >= row["before"] for row in steered["left"])
        assert any(r["evidence"]["key"] in ("2.1", "+1") for r in steered["recommendations"])
        assert steered["seconds"] > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rationale": " "}, "There is no reasoning to edit yet"),
        ({"rationale": "x" * 20_001}, "at most 20,000 characters"),
        ({"edits": "nonsense"}, "must be a JSON list"),
        ({"edits": "[" * 100_000}, "must be a JSON list"),
        ({"edits": {"key": "1.1"}}, "must be a list of segments"),
        ({"edits": [{"key": "1.1", "weight": 9}]}, "Edit 1: A weight is a number from 0"),
        ({"edits": [{"key": "9.9", "text": "z"}]}, "Edit 1 is not a segment"),
        ({"ranker": "history"}, "does not read the reasoning"),
        ({"ranker": "magic"}, "Unknown ranker"),
        ({"domain": "moon"}, "Unknown domain"),
        ({"k": 0}, "a whole number from 1 to 100"),
        ({"rationale": "Step 1: x", "edits": [{"key": "1.1", "weight": 0}]}, "Everything is struck out"),
    ],
)
def test_wrong_arguments_get_a_sentence(client: Client, wrong: dict, message: str) -> None:
    with pytest.raises(AppError) as caught:
        client.predict(api_name="/steer", **{"rationale": TEXT, **wrong})
    assert message in str(caught.value)
