"""The OpenAI-compatible reasoner against a real HTTP server on 127.0.0.1."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from email.utils import formatdate
from typing import Any

import pytest

from slim_app.errors import SlimError
from slim_app.prompts import PROMPT_VERSION, student_prompt, teacher_prompt
from slim_app.reasoners import faults
from slim_app.reasoners.endpoint import Endpoint
from slim_app.schema import Item, RunStats
from tests.loopback import CUT, DONE, STALL, Loopback, Reply, answer, delta, error, finish, silence, stream, usage

HISTORY = [Item("1", "Desk lamp"), Item("2", "Notebook")]
KEY = "sk-Secret-0123456789"
FINE = stream(delta("", role="assistant"), delta("Step 1: "), delta("You read."), finish(), usage(42, 17), DONE)
THOUGHTS = map(delta, ["\n<thi", "nk>I wo", "nder </th", "ink", ">\n\nStep 1", ": <think> is a tag."])
THOUGHT = delta(None, reasoning_content="Hm")
REASONING = {"completion_tokens_details": {"reasoning_tokens": 90}}
Serve = Callable[..., Loopback]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts servers and closes them at the end."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(faults, "RETRY_PAUSES", (0.05, 0.05))
    with ExitStack() as servers:
        yield lambda *replies: servers.enter_context(Loopback(*replies))


def endpoint(server: Loopback, **changes: Any) -> Endpoint:
    return Endpoint(**{"base_url": server.url, "model": "gpt-test", "api_key": KEY, "timeout": 5.0, **changes})


def read(server: Loopback, **changes: Any) -> tuple[str, RunStats]:
    stats = RunStats()
    return "".join(endpoint(server, **changes).stream(HISTORY, stats)), stats


def fail(server: Loopback, **changes: Any) -> tuple[str, str]:
    """The text that came before the error, and the error's message."""
    stats, pieces = RunStats(), []
    with pytest.raises(SlimError) as caught:
        for piece in endpoint(server, **changes).stream(HISTORY, stats):
            pieces.append(piece)
    message = str(caught.value)
    assert stats.finish_reason == "error"
    assert "gpt-test" in message and "127.0.0.1" in message and KEY not in message and "Traceback" not in message
    assert caught.value.__cause__ is None and caught.value.__context__ is None  # they would know the key
    return "".join(pieces), message


def test_streams_the_text_and_fills_the_stats(serve: Serve) -> None:
    server = serve(FINE)
    text, stats = read(server)
    assert text == "Step 1: You read."
    assert (stats.tokens, stats.prompt_tokens, stats.finish_reason) == (42, 17, "stop")
    assert 0 < stats.first_token_seconds <= stats.seconds < 2
    body = server.requests[0].body
    assert server.requests[0].path == "/v1/chat/completions"
    assert (body["model"], body["temperature"], body["stream"]) == ("gpt-test", 0, True)
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("role", "prompt", "limit"), [("teacher", teacher_prompt, 512), ("student", student_prompt, 300)]
)
def test_each_role_sends_its_template(serve: Serve, role: str, prompt: Callable[..., str], limit: int) -> None:
    server = serve(FINE)
    read(server, role=role)
    assert server.requests[0].body["messages"] == [{"role": "user", "content": prompt(HISTORY)}]
    assert server.requests[0].body["max_tokens"] == limit
    info = endpoint(server, role=role).info
    assert (info.name, info.base, info.adapter, info.kind) == ("gpt-test", "gpt-test", "", "live")
    assert (info.tuned, info.prompt_version, info.device) == (role == "student", PROMPT_VERSION, "127.0.0.1")


def test_a_server_without_stream_options_is_asked_again_without_them(serve: Serve) -> None:
    server = serve(answer(400, error("Unknown field: stream_options", 400)), FINE)
    assert read(server)[0] == "Step 1: You read."
    assert ["stream_options" in request.body for request in server.requests] == [True, False]


@pytest.mark.parametrize(
    ("steps", "text", "tokens", "reason"),
    [
        ((delta("a"), delta("b"), delta("c"), finish(), DONE), "abc", 3, "stop"),  # no usage: the deltas are counted
        ((delta("Half"), finish("length"), DONE), "Half", 1, "length"),
        ((*[delta("x")] * 200, STALL), "x" * 145, 145, "length"),  # a server that ignores max_tokens is cut off
        ((delta("All"), finish(), CUT), "All", 1, "stop"),  # broken, but after the whole answer
        ((delta("All"), finish(), usage(9, 9), STALL), "All", 9, "stop"),  # a server that never hangs up
        ((*THOUGHTS, finish(), usage(99, 5), DONE), "Step 1: <think> is a tag.", 2, "stop"),
        ((THOUGHT, delta("Step 1"), finish(), usage(99, 5, **REASONING), DONE), "Step 1", 9, "stop"),
    ],
)
def test_text_and_stats_of_other_answers(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, steps: tuple[Any, ...], text: str, tokens: int, reason: str
) -> None:
    monkeypatch.setattr("slim_app.reasoners.endpoint.LINGER", 0.2)
    got, stats = read(serve(stream(*steps)), max_tokens=10)
    assert (got, stats.tokens, stats.finish_reason) == (text, tokens, reason)


def test_slow_tokens_come_with_heartbeats(serve: Serve) -> None:
    pieces = list(endpoint(serve(stream(delta("a"), 0.35, delta("b"), finish(), DONE))).stream(HISTORY, RunStats()))
    between = pieces[pieces.index("a") + 1 : pieces.index("b")]
    assert len(between) >= 2 and not any(between)


@pytest.mark.parametrize("reply", [silence, stream(STALL), stream(delta("Step"), STALL)])
def test_silence_is_an_error_that_names_the_timeout(serve: Serve, reply: Reply) -> None:
    server = serve(reply)
    text, message = fail(server, timeout=0.5)
    assert "sent nothing for 0.5 s" in message and ("incomplete" in message) == bool(text)
    assert len(server.requests) == 1


def test_429_waits_as_told_and_then_succeeds(serve: Serve) -> None:
    server = serve(answer(429, error("slow down", 429), {"Retry-After": "0.4"}), FINE)
    pieces = list(endpoint(server).stream(HISTORY, RunStats()))
    assert "".join(pieces) == "Step 1: You read." and "" in pieces
    assert server.requests[1].at - server.requests[0].at >= 0.4


@pytest.mark.parametrize(
    ("status", "after", "requests", "words"),
    [
        (429, "0", 3, "Wait a little"),
        (429, "nonsense", 3, "Wait a little"),
        (429, formatdate(0, usegmt=True), 3, "Wait a little"),
        (429, "60", 1, "Wait 60 s"),  # longer than a person waits: reported at once
        (500, "", 3, "HTTP 500"),
        (503, "0", 3, "HTTP 503"),
    ],
)
def test_failures_for_ever_are_reported(serve: Serve, status: int, after: str, requests: int, words: str) -> None:
    server = serve(answer(status, error("no quota", status), {"Retry-After": after}))
    message = fail(server)[1]
    assert words in message and "no quota" in message and len(server.requests) == requests


@pytest.mark.parametrize("first", [answer(500, b"<html>", kind="text/html"), answer(503), stream(CUT)])
def test_other_passing_failures_are_tried_again(serve: Serve, first: Reply) -> None:
    server = serve(first, first, FINE)
    assert read(server)[0] == "Step 1: You read." and len(server.requests) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_a_rejected_and_a_missing_key_name_the_variable(serve: Serve, status: int) -> None:
    server = serve(answer(status, error(f"Incorrect API key provided: {KEY}", status)), answer(status))
    assert "rejected the key" in (message := fail(server)[1]) and "SLIM_TEACHER_KEY" in message and "[key]" in message
    assert "none is set" in (message := fail(server, api_key="")[1]) and "SLIM_TEACHER_KEY" in message
    assert len(server.requests) == 2


def test_refusals_quote_the_server_on_one_short_line(serve: Serve) -> None:
    message = fail(serve(answer(404, error("The model does not exist", 404))))[1]
    assert "/v1" in message and "model's name" in message and "does not exist" in message
    message = fail(serve(answer(400, error("too\nlong \u202e" + "x " * 5000, 400))))[1]
    assert "HTTP 400" in message and "too long x" in message and "\n" not in message and len(message) < 400
    assert "<" not in fail(serve(answer(403, b"<html>oops</html>", kind="text/html")))[1]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (answer(200, b"<html><h1>Welcome</h1></html>", kind="text/html; charset=utf-8"), "text/html"),
        (answer(200, {"choices": [{"message": {"content": "Hi"}}]}), "application/json"),
        (answer(200, b"nothing known"), "nothing that an OpenAI-compatible server sends"),
        (stream(b"data: nonsense\n\n"), "not an OpenAI-compatible stream"),
        (stream(b"data: \xff\xfe\n\n"), "not an OpenAI-compatible stream"),
        (stream(b"data: 5\n\ndata: [1]\n\ndata: {}\n\n", DONE), "nothing that an OpenAI-compatible server sends"),
        (stream(b'data: {"choices": [3, null]}\n\n', b'data: {"choices": [{"delta": 4}]}\n\n'), "without text"),
        (stream(delta(""), finish(), usage(0, 9), DONE), "answered without text"),
        (stream(delta(" \n"), finish(), DONE), "answered without text"),
        (stream(delta(None, reasoning_content="Hm"), finish("length"), DONE), "512 tokens went into thinking"),
        (stream(delta("<think>Hm"), finish("length"), DONE), "512 tokens went into thinking"),
        (stream(error("boom"), DONE), "“boom”"),
    ],
)
def test_useless_answers_are_errors(serve: Serve, reply: Reply, words: str) -> None:
    text, message = fail(serve(reply))
    assert words in message and not text and "incomplete" not in message


@pytest.mark.parametrize(
    "ending", [(CUT,), (), (b"data: nonsense\n\n",), (error("boom"),), (finish("content_filter"), DONE)]
)
def test_an_answer_that_breaks_keeps_its_text_and_is_called_incomplete(serve: Serve, ending: tuple[Any, ...]) -> None:
    server = serve(stream(delta("Step 1: "), delta("You"), *ending))
    text, message = fail(server)
    assert text == "Step 1: You" and message.endswith("The text above is incomplete.") and len(server.requests) == 1


@pytest.mark.parametrize(
    "reply", [stream(*[delta("x"), 0.02] * 100), stream(delta("x"), STALL), stream(STALL), silence]
)
def test_closing_hangs_up_at_once(serve: Serve, reply: Reply) -> None:
    server, stats = serve(reply), RunStats()
    pieces = endpoint(server).stream(HISTORY, stats)
    while not server.requests:
        next(pieces)
    next(pieces)
    start = time.monotonic()
    pieces.close()
    assert time.monotonic() - start < 0.5 and server.hung_up.wait(1) and stats.finish_reason == "cancelled"


def test_closing_while_waiting_to_try_again_stops_the_retries(serve: Serve) -> None:
    server = serve(answer(429, b"", {"Retry-After": "0.5"}), FINE)
    pieces = endpoint(server).stream(HISTORY, RunStats())
    while not server.requests:
        next(pieces)
    next(pieces)
    pieces.close()
    time.sleep(0.6)
    assert len(server.requests) == 1 and "endpoint" not in {thread.name for thread in threading.enumerate()}


def test_two_streams_at_once_do_not_mix(serve: Serve) -> None:
    first, second = ([*(delta(f"{letter}{n} ") for n in range(20)), finish(), DONE] for letter in "ab")
    reasoner, stats = endpoint(serve(stream(*first), stream(*second))), (RunStats(), RunStats())
    texts = ["", ""]
    streams = [reasoner.stream(HISTORY, s) for s in stats]
    while len(done := [n for n, s in enumerate(stats) if s.finish_reason]) < 2:
        for n in {0, 1} - set(done):
            texts[n] += next(streams[n], "")
    assert sorted(texts) == ["".join(f"{letter}{n} " for n in range(20)) for letter in "ab"]
    assert [s.tokens for s in stats] == [20, 20]


def test_a_refused_port_is_reported(serve: Serve) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = Endpoint(base_url=f"http://127.0.0.1:{free.getsockname()[1]}/v1", model="m", api_key=KEY)
        with pytest.raises(SlimError, match=r"m at 127\.0\.0\.1:\d+ refused the connection\. Check --teacher-url"):
            list(nobody.stream(HISTORY, RunStats()))


def test_a_model_that_takes_max_completion_tokens_and_no_temperature_is_asked_its_way(serve: Serve) -> None:
    server = serve(
        answer(400, error("Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.", 400)),
        answer(400, error("'temperature' does not support 0 with this model.", 400)),
        FINE,
    )
    assert read(server)[0] == "Step 1: You read."
    last = server.requests[-1].body
    assert last["max_completion_tokens"] > 0 and "max_tokens" not in last and "temperature" not in last
