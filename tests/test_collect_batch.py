"""The provider's batch mode against a loopback server: nothing that was sent is lost or paid for twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.collect_bench import PRICES, Bench, bench, start, until, write_users
from tests.loopback import CUT, answer, error, stream
from tests.teacher_server import GOOD, NO_STEPS, TeacherServer, completion
from training.store import write_json
from training.teacher.batch_state import new_state

__all__ = ["bench"]
BATCH = ("--batch", "--poll", "0.02")
BAD = (200, completion(NO_STEPS))


def state_file(bench: Bench) -> Path:
    return bench.out.with_name("teacher.jsonl.batch.json")


def test_a_batch_brings_the_same_rows(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, *BATCH, *PRICES, "--positions", "all") == 0
    assert len(bench.lines()) == 20 and len(server.batches) == 1
    row = bench.rows()["u3"]
    assert row["seconds"] is None and row["batch"] == "batch-0" and row["cost_usd"] == pytest.approx(320 / 1e6)
    line = server.batches[0]["lines"][0]
    assert (line["method"], line["url"], line["body"]["max_tokens"]) == ("POST", "/v1/chat/completions", 512)
    assert not state_file(bench).exists() and bench.meta["mode"] == "batch"
    assert bench.run(server, *BATCH) == 0 and len(server.batches) == 1


def test_what_does_not_parse_goes_into_one_more_batch(bench: Bench) -> None:
    server = bench.serve({"u1": [BAD], "u2": [BAD] * 3})
    assert bench.run(server, *BATCH) == 0
    assert [len(entry["lines"]) for entry in server.batches] == [10, 2]
    assert bench.rows()["u1"]["attempts"] == 2 and "problem" not in bench.rows()["u1"]
    assert bench.rows()["u2"]["problem"] and bench.run(server, *BATCH) == 0 and len(server.batches) == 2


def test_lines_that_failed_are_kept_or_left(bench: Bench) -> None:
    server = bench.serve({"u1": [(400, error("Flagged", 400))], "u2": [(500, error("oops"))]})
    server.no_answer.add("u3")
    assert bench.run(server, *BATCH) == 1
    assert "2 requests had no answer" in bench.said and len(server.batches) == 1
    assert "Flagged" in bench.rows()["u1"]["problem"] and len(bench.rows()) == 8
    server.no_answer.clear()
    assert bench.run(server, *BATCH) == 0
    assert [len(entry["lines"]) for entry in server.batches] == [10, 3] and len(bench.rows()) == 10


def test_other_parameters_are_learnt_from_the_first_batch(bench: Bench) -> None:
    complaint = (400, error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 400))
    server = bench.serve({f"u{n}": [complaint] for n in range(10)})
    assert bench.run(server, *BATCH) == 0
    assert len(server.batches) == 2 and len(bench.lines()) == 10
    assert "max_completion_tokens" in server.batches[1]["lines"][0]["body"]


@pytest.mark.parametrize("status", ["expired", "cancelled", "failed"])
def test_a_batch_that_ends_badly_keeps_what_was_answered(bench: Bench, status: str) -> None:
    server = bench.serve()
    server.ends_as, server.no_answer = status, {"u1", "u2"}
    assert bench.run(server, *BATCH) == 1
    assert f"ended as “{status}”" in bench.said and not state_file(bench).exists()
    assert ("Enqueued token limit reached" in bench.said) == (status == "failed")
    server.ends_as, server.no_answer = "completed", set()
    assert bench.run(server, *BATCH) == 0
    assert [len(entry["lines"]) for entry in server.batches] == [10, 2] and len(bench.lines()) == 10


def test_nonsense_between_looks_and_rare_line_ends_do_no_harm(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, look = bench.serve({"u1": [(200, completion(GOOD.replace("Tetris", "Te\u2028tris")))]}), TeacherServer._look
    odd = [answer(200, b"<html>", kind="text/html"), answer(503, b""), answer(200, {"a": 1})]
    monkeypatch.setattr(TeacherServer, "_look", lambda self, name: odd.pop() if odd else look(self, name))
    assert bench.run(server, *BATCH) == 0
    assert len(bench.lines()) == 10 and "\u2028" in bench.rows()["u1"]["text"]


def test_a_batch_whose_creation_was_not_confirmed_is_not_created_again(bench: Bench) -> None:
    server = bench.serve()
    server.create_replies = [stream(b'{"id": ', CUT, content_type="application/json")]
    assert bench.run(server, *BATCH) == 0
    assert len(server.batches) == 1 and len(bench.rows()) == 10


def test_kill_9_while_a_batch_is_under_way(bench: Bench) -> None:
    server = bench.serve()
    server.looks = 10**9
    process = start(bench, server, *BATCH, "--poll", "0.05")
    until(lambda: any("/batches/" in request.path for request in server.requests))
    process.kill()
    process.communicate()
    assert json.loads(state_file(bench).read_text())["batch_id"] == "batch-0"
    assert bench.run(server) == 1 and "Add --batch" in bench.said  # asking live would pay a second time
    assert bench.run(server, *BATCH, "--model", "other") == 1 and "batch of the model m" in bench.said
    assert bench.run(server, *BATCH, "--dry-run") == 0 and "under way" in bench.said
    server.batches[0]["looks"] = 0
    assert bench.run(server, *BATCH) == 0
    assert len(server.batches) == 1 and len(bench.lines()) == 10 and not state_file(bench).exists()


def test_a_signal_leaves_the_batch_for_the_next_run(bench: Bench) -> None:
    server = bench.serve()
    server.looks = 10**9
    process = start(bench, server, *BATCH)
    until(lambda: any("/batches/" in request.path for request in server.requests))
    process.terminate()
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "goes on at the provider" in said and state_file(bench).exists()


@pytest.mark.parametrize("created", [True, False])
def test_a_kill_before_the_id_was_known(bench: Bench, created: bool) -> None:
    """The state holds the tag only: the batch is found by it, or was never created."""
    server = bench.serve()
    if created:
        assert bench.run(server, *BATCH) == 0
        bench.out.write_text("")
    state = new_state("m", 10)
    if created:
        state["tag"] = server.batches[0]["batch"]["metadata"]["slim_tag"]
    bench.out.parent.mkdir(exist_ok=True)
    write_json(state_file(bench), state)
    assert bench.run(server, *BATCH) == 0
    assert len(server.batches) == 1 and len(bench.rows()) == 10


def test_answers_that_were_stored_before_a_kill_are_not_stored_again(bench: Bench) -> None:
    server = bench.serve({"u1": [BAD] * 2, "u2": [BAD]})
    assert bench.run(server, *BATCH) == 0
    first = [line for line in bench.out.read_text().splitlines() if '"batch-0"' in line]
    bench.out.write_text("\n".join(first[:6]) + "\n")
    write_json(state_file(bench), new_state("m", 10) | {"batch_id": "batch-0"})
    assert bench.run(server, *BATCH) == 0
    ids = [(row["user_id"], row["batch"]) for row in bench.lines()]
    assert len(set(ids)) == len(ids) and len(bench.rows()) == 10


def test_a_lost_batch_and_a_damaged_state_are_said(bench: Bench) -> None:
    server = bench.serve()
    bench.out.parent.mkdir()
    write_json(state_file(bench), new_state("m", 3) | {"batch_id": "batch-9"})
    assert bench.run(server, *BATCH) == 1 and "batch-9" in bench.said and "remove the file" in bench.said
    state_file(bench).write_text("{")
    assert bench.run(server, *BATCH) == 1 and "cannot be read" in bench.said and not server.batches


def test_batches_are_cut_to_size_and_to_the_cost_limit(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, *BATCH, "--batch-size", "4", "--users", "8") == 0
    assert [len(entry["lines"]) for entry in server.batches] == [4, 4]
    bench.out.unlink()
    most = 0.0013  # of one request: less than two fit
    assert bench.run(server, *BATCH, *PRICES, "--max-cost", str(2 * most)) == 1
    assert "Stopped before --max-cost" in bench.said
    assert 0 < bench.meta["cost_usd"] <= 2 * most and len(bench.rows()) < 10


def test_a_refused_upload_leaves_no_state(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    server = bench.serve()
    monkeypatch.setattr(TeacherServer, "_upload", lambda *_: answer(404, error("No batches here", 404)))
    assert bench.run(server, *BATCH) == 1 and "No batches here" in bench.said and not state_file(bench).exists()


def test_users_file_and_batch_go_together(bench: Bench) -> None:
    server = bench.serve()
    assert bench.run(server, *BATCH, "--users-file", write_users(bench, "u4 u2")) == 0
    assert set(bench.rows()) == {"u2", "u4"}


