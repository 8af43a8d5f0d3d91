"""Two networks on one machine: 127.0.0.2 plays the public internet, 127.0.0.1 the private network.

Both are real servers; tests choose who listens where, and what names mean.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from slim_app.errors import SlimError
from slim_app.reasoners import public_only
from slim_app.reasoners.endpoint import Endpoint
from slim_app.reasoners.public_only import is_public
from slim_app.schema import Item, RunStats
from tests.loopback import DONE, Loopback, delta, finish, stream, usage

HISTORY = [Item("1", "Desk lamp")]
KEY = "sk-Visitor-0123456789"
FINE = stream(delta("Step 1: "), delta("You read."), finish(), usage(42, 17), DONE)
PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"
Serve = Callable[..., Loopback]


@pytest.fixture(name="serve")
def the_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    monkeypatch.setenv("no_proxy", "")
    with ExitStack() as servers:
        yield lambda *replies, **more: servers.enter_context(Loopback(*(replies or (FINE,)), **more))


@pytest.fixture(name="names")
def the_names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
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


@pytest.fixture(name="internet")
def the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
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
