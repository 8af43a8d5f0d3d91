"""Servers that send too much, too slowly or nonsense: what an answer may cost, and that every fault has a sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from slim_app.errors import SlimError
from slim_app.prices import Price
from slim_app.rationale import parse
from slim_app.reasoners import public_only
from slim_app.reasoners.endpoint import CHARACTERS, Endpoint
from slim_app.reasoners.live_teacher import MAX_KEY, live_teacher
from slim_app.schema import Item, RunStats
from tests.loopback import DONE, Loopback, delta, finish, stream, usage

HISTORY = [Item("1", "Desk lamp")]
Serve = Callable[..., Loopback]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as servers:
        yield lambda *replies: servers.enter_context(Loopback(*replies))


def read(server: Loopback, **more) -> tuple[str, RunStats]:
    stats = RunStats()
    endpoint = Endpoint(base_url=server.url, model="m", timeout=5.0, **more)
    return "".join(endpoint.stream(HISTORY, stats)), stats


@pytest.mark.parametrize("count", [10**400, 10**12, -7, 1.5, "many"])
def test_counts_that_cannot_be_right_count_as_not_told(serve: Serve, count) -> None:
    chunk = usage(9, 9)
    chunk["usage"] |= {"completion_tokens": count, "prompt_tokens": count}
    text, stats = read(serve(stream(delta("Step 1: "), delta("You read."), finish(), chunk, DONE)))
    assert text == "Step 1: You read." and (stats.tokens, stats.prompt_tokens, stats.billed_tokens) == (2, 0, 0)
    assert stats.tokens_per_second < 1e9 and Price(1.0, 1.0, "given").cost(stats) is None


def test_thoughts_beyond_what_was_written_take_nothing_off(serve: Serve) -> None:
    chunk = usage(9, 9, completion_tokens_details={"reasoning_tokens": -(10**6)})
    _, stats = read(serve(stream(delta("Step 1: You read."), finish(), chunk, DONE)))
    assert (stats.tokens, stats.billed_tokens) == (9, 9)


def test_a_text_without_end_is_cut_whatever_the_size_of_its_pieces(serve: Serve) -> None:
    text, stats = read(serve(stream(delta("x" * 300_000), delta("y"), finish(), DONE)), max_tokens=10)
    assert text == "x" * 10 * CHARACTERS and stats.finish_reason == "length"


def test_halves_of_a_character_are_joined_and_lone_ones_dropped(serve: Serve) -> None:
    smile = "\N{GRINNING FACE}"
    high, low = (chr(0xD83D), chr(0xDE00))  # its UTF-16 halves, as some servers cut it
    pieces = [delta("Step 1: a"), delta(high), delta(low + "b"), delta(low + "c" + high), finish()]
    text, _ = read(serve(stream(*pieces, DONE)))
    assert text == f"Step 1: a{smile}bc" and parse(text).text.encode() == text.encode()


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b""])
def test_a_head_without_end_is_given_up(serve: Serve, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    def trickle(handler) -> None:
        handler.wfile.write(head)
        while handler.idle(0.02):
            handler.wfile.write(b"a" if head else b"HTTP/1.1 100 Continue\r\n\r\n")

    monkeypatch.setattr(public_only, "is_public", lambda _: True)
    monkeypatch.setattr(public_only, "MAX_SECONDS", 0.4)
    server, start = serve(trickle), time.monotonic()
    with pytest.raises(SlimError, match="without end"):
        read(server, public_only=True)
    assert time.monotonic() - start < 3 and server.hung_up.wait(2) and len(server.requests) == 1


@pytest.mark.parametrize("url", ["https://[::1", "https://[", "https://ho\u2100st/v1", "https://host:x/v1"])
def test_half_an_address_gets_a_sentence(url: str) -> None:
    for reach in ("public", "any"):
        with pytest.raises(SlimError, match="“Server address” must look like https"):
            live_teacher(url, "m", "k", reach=reach)


def test_a_key_may_be_long_but_not_endless() -> None:
    assert live_teacher("https://host/v1", "m", "k" * MAX_KEY, reach="any")
    with pytest.raises(SlimError, match="“Key” takes at most"):
        live_teacher("https://host/v1", "m", "k" * (MAX_KEY + 1), reach="any")
