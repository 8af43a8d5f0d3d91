"""A model server that tests can script: real HTTP on 127.0.0.1, OpenAI's streaming format, an ephemeral port.

    with Loopback(stream(delta("Hello"), finish(), usage(1, 9), DONE)) as server:
        Endpoint(base_url=server.url, model="m")

Each request takes the next reply; the last one repeats. `server.requests` holds what was received.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

STALL = "stall"
"""A step of `stream`: send nothing more until the client hangs up or the server stops."""
CUT = "cut"
"""A step of `stream`: drop the connection without ending the body."""
DONE = b"data: [DONE]\n\n"


@dataclass
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: dict[str, Any]
    """What was sent as JSON; empty for anything else."""
    raw: bytes = b""
    method: str = "POST"
    at: float = field(default_factory=time.monotonic)


class Loopback:
    """The server; a context manager. `hung_up` is set when a client closes its connection during a stream."""

    def __init__(self, *replies: Reply, host: str = "127.0.0.1", port: int = 0) -> None:
        self.replies = list(replies)
        self.requests: list[Received] = []
        self.hung_up = threading.Event()
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._http = _Server((host, port), _Handler)
        self._http.loopback = self
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """What a client takes as `base_url`."""
        return f"http://{self._http.server_address[0]}:{self.port}/v1"

    @property
    def port(self) -> int:
        return self._http.server_address[1]

    def script(self, *replies: Reply) -> None:
        """Begin anew: these replies, nothing received yet, nobody hung up."""
        self.requests.clear()
        self.hung_up.clear()
        self.replies[:] = replies

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Speak TLS from now on; to be called before the server is entered."""
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def take(self, request: Received) -> Reply:
        """Note a request and choose its reply."""
        with self._lock:
            self.requests.append(request)
            return self.replies[min(len(self.requests), len(self.replies)) - 1]

    def __enter__(self) -> Loopback:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    loopback: Loopback

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Silent: clients that break off are what many tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # chunked bodies, so that a cut one is recognisable
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        parsed = json.loads(body) if "json" in headers.get("content-type", "") else {}
        reply = self.server.loopback.take(Received(self.path, headers, parsed, body, self.command))
        try:
            reply(self)
        except (BrokenPipeError, ConnectionResetError):
            self.server.loopback.hung_up.set()
            self.close_connection = True

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Silent."""

    def chunk(self, data: bytes) -> None:
        """Send one piece of a chunked body."""
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def idle(self, seconds: float) -> bool:
        """Wait; False when the client hung up or the server stops before the time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.server.loopback.stopping.is_set():
                return False
            readable, _, _ = select.select([self.connection], [], [], min(0.01, left))
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.server.loopback.hung_up.set()
                return False
        return True


Reply = Callable[[_Handler], None]


def stream(*steps: dict[str, Any] | bytes | float | str, content_type: str = "text/event-stream") -> Reply:
    """A streamed answer: dicts are chunks, bytes go out as they are, numbers are pauses in seconds."""

    def reply(handler: _Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for step in steps:
            if isinstance(step, dict):
                handler.chunk(b"data: " + json.dumps(step).encode() + b"\n\n")
            elif isinstance(step, bytes):
                handler.chunk(step)
            elif step == CUT or not handler.idle(3600.0 if step == STALL else float(step)):
                handler.close_connection = True
                return
        handler.chunk(b"")

    return reply


def answer(
    status: int, body: bytes | dict[str, Any] = b"", headers: Mapping[str, str] | None = None, kind: str = ""
) -> Reply:
    """A whole answer; a dict is sent as JSON."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body

    def reply(handler: _Handler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", kind or ("application/json" if isinstance(body, dict) else "text/plain"))
        handler.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    return reply


def silence(handler: _Handler) -> None:
    """Not even a status line, until the client hangs up."""
    handler.idle(3600.0)
    handler.close_connection = True


def delta(content: str | None = None, **fields: Any) -> dict[str, Any]:
    """A chunk with a piece of text (or `reasoning_content=…`)."""
    return _chunk([{"index": 0, "delta": {"content": content, **fields}, "finish_reason": None}])


def finish(reason: str = "stop") -> dict[str, Any]:
    """The chunk that says why the answer ended."""
    return _chunk([{"index": 0, "delta": {}, "finish_reason": reason}])


def usage(written: int, prompt: int, **details: Any) -> dict[str, Any]:
    """The last chunk: token counts."""
    counts = {"completion_tokens": written, "prompt_tokens": prompt, "total_tokens": written + prompt, **details}
    return {**_chunk([]), "usage": counts}


def error(message: str, code: int | str = 500) -> dict[str, Any]:
    """An OpenAI-style error object, as a body or as a chunk."""
    return {"error": {"message": message, "type": "server_error", "code": code}}


def _chunk(choices: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": choices}
