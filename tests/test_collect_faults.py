"""Collecting from a server that limits, fails, stalls and cuts connections; and being stopped or killed meanwhile."""

from __future__ import annotations

import email.utils
import errno
import os
import signal
import time
from typing import Any

import pytest

from tests.collect_bench import KEY, Bench, bench, start, until, write_users
from tests.loopback import CUT, answer, error, silence, stream
from tests.teacher_server import TeacherServer, after, says, write_dataset
from training.store import RationaleStore
from training.teacher import live_mode

__all__ = ["bench"]


def test_every_passing_trouble_is_overcome(bench: Bench) -> None:
    server = bench.serve({
        "u0": [answer(500, error("oops")), answer(503, b"busy")],
        "u1": [stream(b'{"id": ', CUT, content_type="application/json")],
        "u2": [silence],
        "u3": [answer(200, b"not json", kind="application/json")],
        "u4": [answer(200, b"<html>hello", kind="text/html")],
        "u5": [answer(200, error("Upstream trouble"))],
        "u6": [answer(408, b""), answer(200, b"[1]", kind="application/json")],
        "u7": [answer(502, b"<html>Bad gateway", kind="text/html")],
    })  # fmt: skip
    # u9 first: once the server has answered, a web page is a passing trouble, too
    users = write_users(bench, "u9 u0 u1 u2 u3 u4 u5 u6 u7 u8")
    assert bench.run(server, "--users-file", users, "--timeout", "0.4", "--concurrency", "1") == 0
    assert all("problem" not in row for row in bench.rows().values()) and len(bench.lines()) == 10
    for words in ("HTTP 500", "broke off", "sent nothing for 0.4 s", "is not JSON", "Upstream trouble"):
        assert words in bench.said
    assert bench.rows()["u0"]["retries"] == 2


def test_retry_after_holds_everybody_back(bench: Bench) -> None:
    limited = answer(429, error("slow down", 429), {"Retry-After": "1"})
    server = bench.serve({"u5": [limited], "u1": [after(0.5, says())], "u2": [after(0.5, says())]})
    assert bench.run(server, "--concurrency", "3", "--users-file", write_users(bench, "u5 u1 u2 u3 u4")) == 0
    times = {user: request.at for request, (user, _) in reversed(list(zip(server.requests, server.asked, strict=True)))}
    assert min(times["u3"], times["u4"]) >= times["u5"] + 1.0  # although u1 and u2 were done before
    assert len(bench.rows()) == 5 and server.times["u5", 2] == 2


def test_retry_after_may_be_a_date_and_a_long_one_ends_the_run(bench: Bench) -> None:
    soon = email.utils.formatdate(time.time() + 0.9, usegmt=True)
    assert bench.run(bench.serve({"u1": [answer(429, b"", {"Retry-After": soon})]}), "--users-file",
                     write_users(bench, "u1")) == 0
    server = bench.serve({"u2": [answer(429, error("daily quota", 429), {"Retry-After": "7200"})]})
    assert bench.run(server, "--users-file", write_users(bench, "u2 u3"), "--concurrency", "1") == 1
    assert "120 minutes" in bench.said and len(server.asked) == 1


def test_what_stays_unanswered_is_counted_and_left_for_the_next_run(bench: Bench) -> None:
    server = bench.serve({"u4": [answer(500, error("oops"))] * 3})
    assert bench.run(server, "--retries", "2") == 1
    assert "1 requests had no answer" in bench.said and "user u4" in bench.said
    assert len(bench.rows()) == 9 and server.times["u4", 2] == 3
    assert bench.run(server) == 0
    assert len(bench.rows()) == 10


def test_a_server_that_only_fails_ends_the_run_soon(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_mode, "STREAK", 3)
    server = bench.serve({f"u{n}": [answer(500, error("broken for good"))] * 9 for n in range(10)})
    assert bench.run(server, "--retries", "1", "--concurrency", "1") == 1
    assert "3 users in a row" in bench.said and "broken for good" in bench.said and len(server.asked) == 6


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(401, error(f"Incorrect API key provided: {KEY}", 401)), "rejected the key (HTTP 401). Set SLIM_"),
        (answer(404, error("The model `m` does not exist", 404)), "Check that --url ends in /v1, and the model's name"),
        (answer(429, error("You exceeded your quota", "insufficient_quota")), "no quota left"),
        (answer(402, error("Insufficient balance", 402)), "Insufficient balance"),
        (answer(200, b"<html>Welcome", kind="text/html"), "text/html instead of JSON. Check that --url"),
    ],
)
def test_a_wrong_key_address_or_model_stops_the_run_at_once(bench: Bench, reply: Any, words: str) -> None:
    server = bench.serve({f"u{n}": [reply] * 9 for n in range(10)})
    assert bench.run(server, "--concurrency", "2") == 1
    assert words in bench.said and len(server.asked) <= 2 and bench.lines() == []


def test_an_address_where_nobody_answers_stops_the_run_at_once(bench: Bench) -> None:
    with TeacherServer() as gone:
        url = gone.url
    assert bench.run(url) == 1 and "refused the connection. Check --url" in bench.said


def test_a_full_disk_ends_the_run_and_loses_no_stored_row(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    server, whole = bench.serve(), RationaleStore.append

    def full(store: RationaleStore, row: dict[str, Any]) -> None:
        if len(store.rows) >= 4:
            store._stream = Full(store._stream)
        whole(store, row)

    monkeypatch.setattr(RationaleStore, "append", full)
    assert bench.run(server, "--concurrency", "1") == 1
    assert "No space left on device" in bench.said and "Free some space" in bench.said
    assert len(bench.lines()) == 4 and len(server.asked) == 5
    monkeypatch.setattr(RationaleStore, "append", whole)
    assert bench.run(server) == 0 and len(bench.lines()) == 10


class Full:
    """A file on a disk that is full."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, _: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


# -- stopped and killed: real processes ------------------------------------------------------------------------


def test_kill_9_loses_at_most_what_was_in_flight(bench: Bench) -> None:
    bench.data = write_dataset(bench.data, 40)
    server = bench.serve(delay=0.1)
    process = start(bench, server, "--concurrency", "4")
    until(lambda: len(server.asked) >= 14)
    process.kill()
    process.communicate()
    stored = {row["user_id"] for row in bench.lines()}
    in_flight = {user for user, _ in server.asked} - stored
    assert len(stored) >= 8 and len(in_flight) <= 4
    server.delay = 0.0
    assert bench.run(server) == 0
    assert {user for (user, _), times in server.times.items() if times > 1} == in_flight
    assert max(server.times.values()) <= 2 and len(bench.rows()) == len(bench.lines()) == 40


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_is_in_flight_arrive(bench: Bench, number: signal.Signals) -> None:
    bench.data = write_dataset(bench.data, 40)
    server = bench.serve(delay=0.1)
    process = start(bench, server, "--concurrency", "2")
    until(lambda: len(server.asked) >= 3)
    process.send_signal(number)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "Run the same command again" in said and KEY not in said
    assert {user for user, _ in server.asked} == set(bench.rows()) and len(bench.rows()) < 40


def test_a_second_signal_does_not_wait(bench: Bench) -> None:
    server = bench.serve({"u0": [silence]})
    process = start(bench, server, "--users-file", write_users(bench, "u0 u1"), "--timeout", "999", grace=999)
    until(lambda: bench.out.exists() and len(bench.lines()) == 1 and len(server.asked) == 2)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "given up in flight" in said and len(bench.lines()) == 1
