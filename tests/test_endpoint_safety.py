"""Servers that visitors name: what they cannot reach (SSRF), and where a key never appears.

127.0.0.2 plays the public internet here, 127.0.0.1 the private network: both are real servers on this machine.
"""

from __future__ import annotations

import copy
import gzip
import ipaddress
import json
import logging
import pickle
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slim_app.errors import SlimError
from slim_app.prices import Price
from slim_app.reasoners import public_only
from slim_app.reasoners.endpoint import Endpoint
from slim_app.reasoners.live_teacher import call_estimate, live_teacher, reach_of
from slim_app.reasoners.public_only import is_public
from slim_app.reasoners.secret import Redactor, Secret
from slim_app.schema import Item, RunStats
from tests.loopback import DONE, STALL, Loopback, answer, delta, error, finish, stream, usage

HISTORY = [Item("1", "Desk lamp")]
KEY = "sk-Visitor-0123456789"
FINE = stream(delta("Step 1: "), delta("You read."), finish(), usage(42, 17), DONE)
PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
Serve = Callable[..., Loopback]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("no_proxy", "")
    with ExitStack() as servers:
        yield lambda *replies, **more: servers.enter_context(Loopback(*(replies or (FINE,)), **more))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """Name → the addresses of each look-up in turn; the last ones stay. Other names are resolved by the system."""
    table: dict[str, list[list[str]]] = {}
    system = socket.getaddrinfo

    def resolve(host, port, *args, **more):
        host = host.decode() if isinstance(host, bytes) else host
        if host not in table:
            return system(host, port, *args, **more)
        turns = table[host]
        return [place for address in (turns.pop(0) if len(turns) > 1 else turns[0])
                for place in system(address, port, *args, **more)]  # fmt: skip

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return table


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """127.0.0.2 counts as public; everything else is judged as it is."""
    monkeypatch.setattr(public_only, "is_public", lambda address: address == PUBLIC or is_public(address))


def teacher(url: str, **changes: Any) -> Endpoint:
    return Endpoint(**{"base_url": url, "model": "m", "api_key": KEY, "timeout": 5.0, "public_only": True, **changes})


def ask(endpoint: Endpoint) -> str:
    return "".join(endpoint.stream(HISTORY, RunStats()))


def refused(endpoint: Endpoint) -> str:
    with pytest.raises(SlimError) as caught:
        ask(endpoint)
    assert caught.value.__cause__ is None and caught.value.__context__ is None and KEY not in str(caught.value)
    return str(caught.value)


# ---- which addresses are public -------------------------------------------------------------------------------------

INSIDE = """
0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 100.100.100.200 127.0.0.1 127.255.255.254 168.63.129.16 169.254.169.254 172.16.0.1
172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.250 240.0.0.1 255.255.255.255
:: ::1 ::127.0.0.1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::7f00:1
64:ff9b:1::1 100::1 2001::1 2001:0:7f00:1::1 2001:db8::1 2002:7f00:1:: 2002:a00:1::1 fc00::1 fd00:ec2::254 fe80::1
fe80::1%lo fec0::1 ff02::1 ff0e::1
""".split()


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.32.0.1", "104.18.6.192", "2606:4700::1111", "2a00::1"])
def test_addresses_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_passes(four: ipaddress.IPv4Address) -> None:
    number = int(four)
    mapped, nat64, six_to_four = 0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80
    teredo = 0x20010000 << 96 | (number ^ 0xFFFFFFFF)
    forms = (number, mapped, 0xFFFF << 48 | number, nat64, six_to_four, teredo)
    assert not any(is_public(str(ipaddress.IPv6Address(form))) for form in forms)
    if not four.is_global:
        assert not is_public(str(four))


# ---- private servers are not reached --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "localhost.", "LOCALHOST", "127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1",
     "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:127.0.0.1]", "①②⑦.⓪.⓪.①",
     "127。0。0。1", "a" * 70 + ".test"],
)  # fmt: skip
def test_no_spelling_of_loopback_is_called(serve: Serve, host: str) -> None:
    server = serve()
    start = time.monotonic()
    message = refused(teacher(f"http://{host}:{server.port}/v1"))
    assert server.requests == [] and time.monotonic() - start < 1, "not tried, and not tried again"
    assert any(words in message for words in ("not on the public internet", "not known", "not an address")), message


@pytest.mark.parametrize("addresses", [[PRIVATE], ["::1"], [PUBLIC, PRIVATE], [PRIVATE, PUBLIC], ["::ffff:127.0.0.1"]])
def test_a_name_with_any_private_address_is_not_called(serve: Serve, names, internet, addresses: list[str]) -> None:
    inside = serve()
    outside = serve(host=PUBLIC, port=inside.port)
    names["teacher.test"] = [addresses]
    assert "not on the public internet" in refused(teacher(f"http://teacher.test:{inside.port}/v1"))
    assert inside.requests == outside.requests == []


def test_a_name_that_changes_between_check_and_connection_is_looked_up_once(serve: Serve, names, internet) -> None:
    inside = serve()
    outside = serve(host=PUBLIC, port=inside.port)
    names["teacher.test"] = [[PUBLIC], [PRIVATE]]
    endpoint = teacher(f"http://teacher.test:{inside.port}/v1")
    assert ask(endpoint) == "Step 1: You read." and not inside.requests
    assert outside.requests[0].headers["host"] == f"teacher.test:{inside.port}"
    assert outside.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert "not on the public internet" in refused(endpoint), "the next call looks it up anew, and sees the change"
    assert not inside.requests and len(outside.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve: Serve, internet, status: int) -> None:
    inside = serve()
    outside = serve(answer(status, b"", {"Location": inside.url + "/chat/completions"}), host=PUBLIC)
    message = refused(teacher(outside.url))
    assert f"sends calls on to another address (HTTP {status})" in message and len(outside.requests) == 1
    assert inside.requests == []


def test_proxies_of_the_environment_are_not_used(serve: Serve, internet, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, outside = serve(), serve(host=PUBLIC)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://{PRIVATE}:{proxy.port}")
    assert ask(teacher(outside.url)) == "Step 1: You read." and proxy.requests == []


def test_the_next_address_is_tried_when_one_is_down(serve: Serve, names, monkeypatch) -> None:
    outside = serve(host=PUBLIC)
    names["teacher.test"] = [["127.0.0.3", PUBLIC]]
    monkeypatch.setattr(public_only, "is_public", lambda address: address in {PUBLIC, "127.0.0.3"})
    assert ask(teacher(f"http://teacher.test:{outside.port}/v1")) == "Step 1: You read."


@pytest.mark.parametrize("limit", ["MAX_BYTES", "MAX_SECONDS"])
def test_an_answer_without_end_is_cut_off(serve: Serve, internet, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    monkeypatch.setattr(public_only, limit, 0.2 if limit == "MAX_SECONDS" else 2_000)
    outside = serve(stream(*[b": still here\n\n", 0.01] * 300, STALL), host=PUBLIC)
    assert "without end" in refused(teacher(outside.url)) and outside.hung_up.wait(1)


def test_a_huge_error_and_a_packed_answer_are_cut_off(serve: Serve, internet, monkeypatch) -> None:
    monkeypatch.setattr(public_only, "MAX_BYTES", 100_000)
    assert "without end" in refused(teacher(serve(answer(400, b"x" * 500_000), host=PUBLIC).url))
    bomb = answer(200, gzip.compress(b"data: " * 100_000), {"Content-Encoding": "gzip"}, "text/event-stream")
    outside = serve(bomb, host=PUBLIC)
    assert "packed answer" in refused(teacher(outside.url))
    assert outside.requests[0].headers["accept-encoding"] == "identity"


def test_the_certificate_is_checked_against_the_name(serve: Serve, names, internet, monkeypatch, tmp_path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl, which makes the certificate, is not installed")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=teacher.test", "-addext", "subjectAltName=DNS:teacher.test", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Loopback(FINE, host=PUBLIC) as plain:
        port = plain.port
    server = Loopback(FINE, host=PUBLIC, port=port)
    server.encrypt(context)
    with server:
        names["teacher.test"] = names["other.test"] = [[PUBLIC]]
        assert ask(teacher(f"https://teacher.test:{port}/v1")) == "Step 1: You read."
        assert "No secure connection" in refused(teacher(f"https://other.test:{port}/v1"))
    assert len(server.requests) == 1


# ---- who may name what, and whose key goes where --------------------------------------------------------------------


def test_custom_servers_are_off_where_others_visit_unless_allowed() -> None:
    assert reach_of(False, "127.0.0.1", {}) == reach_of(False, "localhost", {}) == reach_of(True, "::1", {}) == "any"
    for host, environ in (("0.0.0.0", {}), ("::", {}), ("app.host", {}), ("127.0.0.1", {"SPACE_ID": "me/slim"})):
        assert (reach_of(False, host, environ), reach_of(True, host, environ)) == ("off", "public")


def test_the_policy_of_a_public_app() -> None:
    operators = Endpoint(base_url="http://10.0.0.5/v1", model="big", api_key="sk-operator")
    given = {"default_url": "http://10.0.0.5/v1", "default": operators}
    with pytest.raises(SlimError, match="calls no servers that visitors name"):
        live_teacher("https://host/v1", "m", KEY, reach="off", **given)
    with pytest.raises(SlimError, match="must begin with https"):
        live_teacher("http://host/v1", "m", KEY, reach="public", **given)
    with pytest.raises(SlimError, match="“Server address” must look like"):
        live_teacher("https://u:p@host/v1", "m", KEY, reach="public", **given)
    with pytest.raises(SlimError, match="characters each"):
        live_teacher("https://" + "h" * 600, "m", KEY, reach="public", **given)
    assert live_teacher("HTTPS://host/v1", "m", KEY, reach="public", **given).public_only
    assert not live_teacher("http://127.0.0.1:11434/v1", "m", "", reach="any").public_only
    assert live_teacher("", "", "", reach="off", **given) is operators
    assert live_teacher("http://10.0.0.5/v1/", "big", "", reach="off", **given) is operators
    with pytest.raises(SlimError, match="needs a key of your own"):
        live_teacher("", "dearer", "", reach="off", **given)
    mine = live_teacher("", "", KEY, reach="off", **given)
    assert mine is not operators and mine.model == "big" and not mine.public_only
    with pytest.raises(SlimError, match="No teacher is set up"):
        live_teacher("", "m", KEY, reach="public")
    with pytest.raises(SlimError, match="needs a key"):
        live_teacher("", "m", "", reach="public", default_url="https://host/v1")


def test_nothing_of_the_operators_goes_to_a_visitors_server(serve: Serve, internet, monkeypatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ADMIN_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "SLIM_TEACHER_KEY"):
        monkeypatch.setenv(name, f"operators-{name}")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "Authorization: Bearer operators-own\nX-Gateway: operators-gateway")
    outside = serve(host=PUBLIC)
    ask(teacher(outside.url, api_key=""))
    ask(teacher(outside.url))
    first, second = (request.headers for request in outside.requests)
    assert "operators" not in json.dumps([first, second])
    assert "authorization" not in first and second["authorization"] == f"Bearer {KEY}"


def test_the_cost_of_a_call_is_known_before_and_after(serve: Serve) -> None:
    endpoint = live_teacher(serve().url, "gpt-4o", KEY, reach="any")
    before = call_estimate(endpoint, HISTORY)
    assert 0 < before.usual < before.most and "list price" in before.source
    stats = RunStats()
    "".join(endpoint.stream(HISTORY, stats))
    assert Price(1.0, 10.0, "s").cost(stats) == pytest.approx((17 + 420) / 1e6)
    assert call_estimate(live_teacher("http://h/v1", "unheard-of", KEY, reach="any"), HISTORY).usual is None


def test_hidden_thoughts_are_charged_but_not_counted_as_speed(serve: Serve) -> None:
    thought = usage(100, 17, completion_tokens_details={"reasoning_tokens": 90})
    stats = RunStats()
    endpoint = live_teacher(serve(stream(delta("a"), finish(), thought, DONE)).url, "m", KEY, reach="any")
    list(endpoint.stream(HISTORY, stats))
    assert (stats.tokens, stats.billed_tokens) == (10, 100)


# ---- where the key never appears ------------------------------------------------------------------------------------


def test_no_dump_of_an_endpoint_holds_the_key() -> None:
    endpoint = live_teacher("https://host/v1", "m", f" {KEY}\n", reach="public")
    dumps = [repr(endpoint), str(vars(endpoint)), repr(endpoint.info), str(asdict(endpoint._faults)), f"{endpoint}"]
    assert KEY not in "".join(dumps)
    assert copy.deepcopy(endpoint)._key.reveal() == copy.copy(endpoint)._key.reveal() == KEY, "a session may copy it"
    for way in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError):
            way(endpoint)
    secret = Secret(KEY)
    assert (repr(secret), str(secret), f"{secret}", bool(secret)) == ("Secret(set)",) * 3 + (True,)
    with pytest.raises(TypeError, match="stays in memory"):
        pickle.dumps(secret)


@pytest.mark.parametrize("guarded", [True, False])
def test_a_server_that_repeats_the_key_everywhere_does_not_bring_it_out(
    serve: Serve, internet, caplog: pytest.LogCaptureFixture, capfd, guarded: bool
) -> None:
    middle = len(KEY) // 2
    pieces = (delta("Step 1: "), delta(KEY[:middle]), delta(KEY[middle:]), delta(f" and {KEY}!"), finish(), DONE)
    invisible = KEY[:5] + "\u200b" + KEY[5:]
    replies = (
        stream(*pieces), stream(delta("Half"), error(KEY)), answer(401, error(f"bad key {KEY}", 401), {"X-Key": KEY}),
        answer(400, error(invisible, 400)), answer(404, error("x" * 150 + KEY, 404)),
        answer(307, b"", {"Location": f"http://h/{KEY}"}), answer(200, KEY.encode(), {"Set-Cookie": KEY}, KEY),
        stream(f"data: {KEY}\n\n".encode()), stream(delta(f"<think>{KEY}</think>Fine {KEY}"), finish(KEY), DONE),
    )  # fmt: skip
    server = serve(*replies, host=PUBLIC)
    seen: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for _ in replies:
            stats = RunStats()
            endpoint = teacher(server.url, public_only=guarded, timeout=1.0)
            try:
                for piece in endpoint.stream(HISTORY, stats):
                    seen.append(piece)
            except SlimError as problem:
                seen += [str(problem), repr(problem), repr(problem.__dict__)]
            seen += [repr(stats), "\n"]
    records = [str(record.__dict__) for record in caplog.records]
    out = "".join([*seen, caplog.text, *records, *capfd.readouterr()])
    assert len(server.requests) >= len(replies) - 1
    assert "Step 1: [key] and [key]!" in out and KEY not in out


LETTERS = "abk-sy"


@given(st.text(LETTERS, min_size=4, max_size=8), st.lists(st.text(LETTERS, max_size=6), max_size=12), st.integers(0, 5))
def test_a_key_in_pieces_is_hidden_and_nothing_else_is_lost(key: str, pieces: list[str], place: int) -> None:
    pieces[place:place] = [key[:2], key[2:]]
    redactor = Redactor(Secret(key))
    shown = [redactor.feed(piece) for piece in pieces]
    shown.append(redactor.flush())
    assert key not in "".join(shown)
    assert "".join(shown) == "".join(pieces).replace(key, "[key]")


def test_placeholders_tear_no_words_apart() -> None:
    redactor = Redactor(Secret("x"))
    assert redactor.feed("Xbox ex") + redactor.flush() == "Xbox ex" and Secret("x").hide("Xbox") == "Xbox"
    assert Redactor(Secret()).feed("text") == "text"
