"""Servers that visitors name: what they cannot reach (SSRF), where answers end, and the certificate."""

from __future__ import annotations

import gzip
import ipaddress
import shutil
import ssl
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slim_app.reasoners import public_only
from slim_app.reasoners.public_only import is_public
from tests.loopback import STALL, Loopback, answer, stream
from tests.two_networks import (  # noqa: F401 (fixtures)
    FINE,
    KEY,
    PRIVATE,
    PUBLIC,
    Serve,
    ask,
    refused,
    teacher,
    the_internet,
    the_names,
    the_servers,
)

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
