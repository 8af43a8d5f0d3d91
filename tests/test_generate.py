"""Batch generation: who is written for, what is stored, and that a run continues where it stopped."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from teacher_server import GOOD, NO_STEPS, write_dataset

from slim_app.errors import SlimError
from slim_app.schema import RunStats
from tests.loopback import DONE, Loopback, answer, delta, finish, stream, usage
from training.dataset import read_dataset
from training.generate_rationales import Run, check_meta, main, shard_of
from training.jobs import choose_jobs
from training.store import RationaleStore


def good(tokens: int = 60) -> RunStats:
    return RunStats(tokens=tokens, finish_reason="stop")


def fresh_run(tmp_path: Path, store: RationaleStore, users: int = 4) -> Run:
    dataset = read_dataset(write_dataset(tmp_path / "toys", users))
    return Run(choose_jobs(dataset, list(dataset.sequences), ["train", "test"]), dataset, store, "student@1")


def test_shards_part_the_users():
    users = [f"u{n}" for n in range(11)]
    parts = [shard_of(users, f"{n}/3") for n in range(3)]
    assert sorted(u for part in parts for u in part) == sorted(users)
    assert shard_of(users, "0/1") == users


@pytest.mark.parametrize("shard", ["", "1", "3/3", "-1/2", "a/2", "1/0"])
def test_a_wrong_shard_says_how_it_must_be(shard):
    with pytest.raises(SlimError, match="must be like 0/4"):
        shard_of(["u"], shard)


def test_rows_hold_the_text_its_parts_and_what_is_missing(tmp_path):
    with RationaleStore(tmp_path / "out.jsonl") as store:
        run = fresh_run(tmp_path, store)
        assert {(job.user, job.upto) for job in run.todo} == {(f"u{u}", n) for u in range(4) for n in (2, 4)}

        def write(histories, on_done, stop):
            for n, history in enumerate(histories):
                assert [item.id for item in history] == [f"{run.todo[n].user[1:]}-{i}" for i in range(run.todo[n].upto)]
                on_done(n, NO_STEPS if n == 0 else GOOD, good(), None)

        run.write(write, threading.Event())
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) == 8 and run.counts["rationales"] == 8 and run.counts["tokens"] == 480
    assert rows[0]["text"] == NO_STEPS and rows[0]["problem"]
    assert rows[1]["step3"] == ["Tetris", "Stardew Valley", "Zelda", "Forza", "Gran Turismo"]
    assert rows[1]["step1"] == "You like quiet games." and "problem" not in rows[1]
    assert rows[1]["model"] == "student@1" and rows[1]["prompt_version"]


def test_a_text_cut_at_the_token_limit_is_a_problem(tmp_path):
    with RationaleStore(tmp_path / "out.jsonl") as store:
        run = fresh_run(tmp_path, store, users=1)
        write = lambda h, on_done, stop: on_done(0, GOOD, RunStats(tokens=300, finish_reason="length"), None)  # noqa: E731
        run.write(write, threading.Event())
        assert [row["finish_reason"] for row in store.rows.values() if row.get("problem")] == ["length"]


def test_what_is_stored_is_not_written_again(tmp_path):
    def write(histories, on_done, stop):
        for n in range(3):
            on_done(n, GOOD, good(), None)

    with RationaleStore(tmp_path / "out.jsonl") as store:
        first = fresh_run(tmp_path, store)
        first.write(write, threading.Event())
    with RationaleStore(tmp_path / "out.jsonl") as store:
        second = fresh_run(tmp_path, store)
        assert len(second.todo) == 5
        assert not {(j.user, j.upto) for j in second.todo} & {(j.user, j.upto) for j in first.todo[:3]}


def test_failures_are_counted_and_many_in_a_row_stop_the_run(tmp_path):
    def write(histories, on_done, stop):
        on_done(0, "", good(), SlimError("The server failed."))
        on_done(1, GOOD, good(), None)
        for n in range(2, 16):
            if stop.is_set():
                break
            on_done(n, "", good(), SlimError("The server is down."))

    with RationaleStore(tmp_path / "out.jsonl") as store:
        run = fresh_run(tmp_path, store, users=8)
        with pytest.raises(SlimError, match=r"The server is down\. \(8 failures in a row; 1 rationales were stored"):
            run.write(write, threading.Event())
        assert run.counts["failed"] == 9 and len(store.rows) == 1


def test_a_file_of_another_engine_is_not_continued(tmp_path):
    meta = tmp_path / "out.jsonl.meta.json"
    check_meta(meta, {"engine": "transformers"})  # nothing there yet
    meta.write_text('{"engine": "llama.cpp", "grammar": true}', "utf-8")
    check_meta(meta, {"engine": "llama.cpp"})
    with pytest.raises(SlimError, match=r"written with engine = llama\.cpp"):
        check_meta(meta, {"engine": "transformers"})
    meta.write_text("{", "utf-8")
    with pytest.raises(SlimError, match="cannot be read"):
        check_meta(meta, {"engine": "transformers"})


def reply(text: str):
    return stream(delta(text), finish(), usage(60, 200), DONE)


def test_the_endpoint_engine_end_to_end_with_resume(tmp_path, monkeypatch):
    monkeypatch.setenv("SLIM_STUDENT_KEY", "sk-secret-1234")
    data, out = write_dataset(tmp_path / "toys", 3), tmp_path / "student.jsonl"
    flags = ["--data", str(data), "--out", str(out), "--engine", "endpoint", "--model", "m", "--batch", "1"]
    with Loopback(reply(GOOD), answer(400, {"error": {"message": "too long"}}), reply(GOOD)) as server:
        with pytest.raises(SystemExit) as ended:
            main([*flags, "--url", server.url, "--positions", "test"])
        assert ended.value.code == 1  # one failed and is left
        assert len(server.requests) == 3
        main([*flags, "--url", server.url, "--positions", "test"])
        assert len(server.requests) == 4  # only the one that failed
        main([*flags, "--url", server.url])
        assert len(server.requests) == 7  # the train position of each user
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert {(row["user_id"], row["upto"]) for row in rows} == {(f"u{u}", n) for u in range(3) for n in (2, 4)}
    meta = (tmp_path / "student.jsonl.meta.json").read_text("utf-8")
    assert json.loads(meta)["engine"] == "endpoint" and "sk-secret" not in meta + out.read_text("utf-8")


@pytest.mark.parametrize("flags, message", [
    (["--shard", "9/9"], "must be like 0/4"),
    (["--grammar"], "needs --engine llama.cpp"),
    (["--student", "nowhere", "--engine", "llama.cpp"], "no student “nowhere”"),
    (["--engine", "endpoint", "--url", "ftp://x", "--model", "m"], "--student-url"),
])  # fmt: skip
def test_flags_that_cannot_be_right(tmp_path, flags, message):
    data = write_dataset(tmp_path / "toys", 2)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(data), "--out", str(tmp_path / "o.jsonl"), *flags])
    assert message in str(ended.value.code)


def test_users_with_nothing_to_read_are_an_error_when_nobody_is_left(tmp_path):
    data = write_dataset(tmp_path / "toys", 2, length=1)
    with pytest.raises(SystemExit) as ended:
        main(["--data", str(data), "--out", str(tmp_path / "o.jsonl"), "--positions", "test"])
    assert "Nobody in" in str(ended.value.code)
