"""A proxy in front of a real S3 API that does to requests what networks and servers do."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for. `number` counts from 1."""

    number: int
    method: str
    key: str
    """Path below the endpoint, decoded: /bucket/key."""
    query: str
    is_ranged: bool


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one request. With a `status` the server behind is not even asked."""

    status: int = 0
    code: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """The connection ends after so many bytes of the body; -1: before the headers."""
    stall_after: int | None = None
    """Nothing comes any more after so many bytes of the body, until the proxy is closed; -1: not even headers."""
    length_error: int = 0
    """Added to the length that the headers state."""
    block_bytes: int = 0
    """The body comes in blocks of so many bytes, each a moment after the other."""


Faults = Callable[[Request], Fault | None]


class FaultyS3:
    """Use as a context manager. `faults` may be exchanged at any time; `requests` are those that came in."""

    def __init__(self, upstream_url: str, faults: Faults = lambda _: None) -> None:
        self.faults = faults
        self.requests: list[Request] = []
        self.released = threading.Event()
        self._upstream = (urlsplit(upstream_url).hostname or "", urlsplit(upstream_url).port or 80)
        self._port = 0
        self._server: _Server | None = None
        self.begin_listening()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def begin_listening(self) -> None:
        """Take connections, at the same port as before."""
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop_listening(self) -> None:
        """Refuse connections, and end those that there are."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> FaultyS3:
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self.stop_listening()

    def count(self, method: str, ending: str) -> int:
        return sum(each.method == method and each.key.endswith(ending) for each in self.requests)

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(*self._upstream, timeout=60)
        try:
            connection.request(handler.command, handler.path, body or None, dict(handler.headers))
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], proxy: FaultyS3) -> None:
        self.proxy = proxy
        self._connections: set[socket.socket] = set()
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def server_close(self) -> None:
        super().server_close()
        for connection in list(self._connections):
            _cut(connection)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients go away; that is nothing to print."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_request(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path, _, query = self.path.partition("?")
        request = Request(len(proxy.requests) + 1, self.command, unquote(path), query, "Range" in self.headers)
        proxy.requests.append(request)
        fault = proxy.faults(request) or Fault()
        if fault.status:
            text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>made up</Message></Error>"
            self._answer(fault, fault.status, [("Content-Type", "application/xml")], text.encode())
        else:
            self._answer(fault, *proxy.forward(self, body))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_request  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def _answer(self, fault: Fault, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        for at, act in ((fault.cut_after, self._cut), (fault.stall_after, self._stall)):
            if at == -1:
                act()
                return
        bare = self.command == "HEAD" or status in (204, 304)
        length = {name.lower(): value for name, value in headers}.get("content-length", str(len(body)))
        self.send_response_only(status)
        for name, value in (*headers, *fault.headers.items()):
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", length if bare else str(len(body) + fault.length_error))
        self.end_headers()
        if not bare:
            self._send(fault, body)

    def _send(self, fault: Fault, body: bytes) -> None:
        end = min(at for at in (len(body), fault.cut_after, fault.stall_after) if at is not None)
        step = fault.block_bytes or len(body) or 1
        for start in range(0, end, step):
            self.wfile.write(body[start : min(start + step, end)])
            if fault.block_bytes:
                time.sleep(0.02)  # slowness is what is tested
        if fault.stall_after is not None and end == fault.stall_after:
            self._stall()
        elif end < len(body) or fault.length_error:
            self._cut()

    def _stall(self) -> None:
        self.server.proxy.released.wait()
        self._cut()

    def _cut(self) -> None:
        self.close_connection = True
        _cut(self.connection)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
