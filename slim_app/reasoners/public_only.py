"""A transport for addresses that strangers name: public hosts only, and no answer without end.

A check of the URL alone would not do: a name may resolve to a private address, or to a public one when it is checked
and to a private one when it is connected to (DNS rebinding). So the name is resolved once, here, every address that
it has is judged, and the connection goes to the very address that was judged; the certificate is still checked
against the name. Redirects are not followed, and proxies of the environment, which would resolve names themselves,
are not used. Cf. OWASP, Server-Side Request Forgery Prevention Cheat Sheet.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator

import httpx2

from slim_app.reasoners.faults import Broken
from slim_app.reasoners.secret import Secret

MAX_BYTES = 8 << 20
"""Of one answer; a rationale streamed token by token takes about 0.1 MB."""
MAX_SECONDS = 300.0
"""For one answer: a server that sends a byte a minute must not hold a place for ever."""
ENDLESS = "sent an answer without end. Choose another server."
KEPT_HEADERS = ("host", "accept", "content-type", "content-length")
"""Of what the client sends. It adds others from the environment (OPENAI_ORG_ID, OPENAI_CUSTOM_HEADERS, which may hold a
key): they are the operator's and go to nobody else."""
_OTHER = tuple(map(ipaddress.ip_network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24")))
"""Not private by `ipaddress` everywhere, and still inside: Azure's host, IETF protocols (Oracle's metadata), 6to4."""
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
"""All IPv6 that is allocated for the internet (RFC 4291, 2.4): mapped, NAT64, local and link-local lie outside."""


def is_public(address: str) -> bool:
    """Whether a numeric address belongs to the public internet and hides no other one inside it."""
    ip = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not any(ip in network for network in _OTHER)
    return ip in _GLOBAL_UNICAST and ip.is_global and not (ip.sixtofour or ip.teredo)


class PublicOnly(httpx2.AsyncBaseTransport):
    """Connects to public addresses only. Its failures are `Broken`, or those of the usual transport.

    Args:
        key: the only credential that is sent.
        connect_timeout: seconds for the look-up of a name; the connection has the request's own limit.
    """

    def __init__(self, key: Secret, connect_timeout: float) -> None:
        self._key, self._connect_timeout = key, connect_timeout
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        start = time.monotonic()
        host = request.url.raw_host.decode("ascii")
        headers = {name: request.headers[name] for name in KEPT_HEADERS if name in request.headers}
        headers["accept-encoding"] = "identity"  # a packed answer could unpack to a thousand times its size
        if self._key:
            headers["authorization"] = f"Bearer {self._key.reveal()}"
        failure: httpx2.TransportError | None = None
        for address in await self._addresses(host, request):
            left = MAX_SECONDS - (time.monotonic() - start)  # for all addresses together, and the head of the answer
            pinned = httpx2.Request(
                request.method, request.url.copy_with(host=address), headers=headers, stream=request.stream,
                extensions={**request.extensions, "sni_hostname": host},
            )  # fmt: skip
            try:
                response = await asyncio.wait_for(self._inner.handle_async_request(pinned), left)
            except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                failure = error
                continue
            except asyncio.TimeoutError:
                raise Broken(ENDLESS) from None
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                await response.aclose()
                raise Broken("sent a packed answer that was not asked for. Choose another server.")
            return httpx2.Response(
                response.status_code, headers=response.headers, stream=_Bounded(response.stream, start),
                extensions=response.extensions,
            )  # fmt: skip
        assert failure is not None, "a name that resolves has an address"
        raise failure

    async def _addresses(self, host: str, request: httpx2.Request) -> list[str]:
        """All addresses of a host, in the system's order of preference."""
        look_up = asyncio.get_running_loop().getaddrinfo(host, request.url.port or 443, type=socket.SOCK_STREAM)
        try:
            found = await asyncio.wait_for(look_up, self._connect_timeout)
        except asyncio.TimeoutError:
            raise httpx2.ConnectTimeout("the name was not resolved in time", request=request) from None
        except (OSError, UnicodeError):  # no such name; a name that cannot be one
            raise Broken("has a host name that is not known. Check the address.") from None
        addresses = list(dict.fromkeys(str(place[4][0]) for place in found))
        if not addresses or not all(map(is_public, addresses)):
            raise Broken("is not on the public internet, and only public servers may be named here. Name another one.")
        return addresses

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Bounded(httpx2.AsyncByteStream):
    """An answer's body, up to a size and a time."""

    def __init__(self, stream: httpx2.AsyncByteStream, start: float) -> None:
        self._stream, self._start = stream, start

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async with contextlib.aclosing(aiter(self._stream)) as pieces:
            async for piece in pieces:
                size += len(piece)
                if size > MAX_BYTES or time.monotonic() - self._start > MAX_SECONDS:
                    raise Broken(ENDLESS)
                yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def public_client(key: Secret, timeout: httpx2.Timeout, connect_timeout: float) -> httpx2.AsyncClient:
    """The HTTP client for such a server; to be closed by its user."""
    return httpx2.AsyncClient(transport=PublicOnly(key, connect_timeout), timeout=timeout, follow_redirects=False)
